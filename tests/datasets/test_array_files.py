"""IDX and NORB's matrix files are read exactly or refused; messages say what was found.

So are gzip files that are damaged, cut or wrongly named.
"""

import contextlib
import gzip
import math
import os
import re
import struct
import tracemalloc
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from minisca.datasets import (
    DatasetError,
    read_idx,
    read_norb_matrix,
    write_idx,
    write_norb_matrix,
)
from tests.support import mnist_files, norb_files

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


class Format(NamedTuple):
    """How to read and write a format, and its bytes, by nothing of minisca's."""

    read: Callable
    write: Callable
    files: ModuleType
    sides: str  # what the header of ARRAY declares, in messages

    @property
    def whole(self):
        return self.files.contents(ARRAY)


IDX = Format(read_idx, write_idx, mnist_files, "2 x 3 x 4")
NORB = Format(read_norb_matrix, write_norb_matrix, norb_files, "2 x 3 x 4 of uint8")
formats = pytest.mark.parametrize("form", [IDX, NORB], ids=["idx", "norb"])
endings = pytest.mark.parametrize("name", ["a-file", "a-file.gz"])


def put(directory, name, contents):
    """Write `contents` as a file, gzipped where the name says so, by nothing of minisca's."""
    return mnist_files.write(directory, {name: contents}) / name


def refuses(form, path, *words):
    """Reading `path` raises a DatasetError that names it and says each of `words`."""
    with pytest.raises(DatasetError) as error:
        form.read(path)
    for word in (str(path), *words):
        assert word in str(error.value)


@contextlib.contextmanager
def allocating_less_than(n_bytes):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


@endings
def test_the_formats_are_read_as_they_are_defined(tmp_path, name):
    idx = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + bytes(range(24))
    pairs = bytes.fromhex("55 4c 3d 1e") + struct.pack("<i3i", 3, 2, 3, 4) + bytes(range(24))
    for form, contents in ((IDX, idx), (NORB, pairs)):
        array = form.read(put(tmp_path, name, contents))
        np.testing.assert_array_equal(array, ARRAY, strict=True)
        array[0] = 1  # the caller's own: writable
    labels = bytes.fromhex("54 4c 3d 1e") + struct.pack("<i3i2i", 1, 2, 1, 1, 4, 0)
    assert read_norb_matrix(put(tmp_path, name, labels)).tolist() == [4, 0]


SHAPES = [(7,), (5, 4), (2, 3, 4), (3, 2, 4, 5)]
KINDS = ["uint8", "int16", "int32", "float32", "float64"]


@endings
@pytest.mark.parametrize(
    ("form", "dtype", "shape"),
    [(IDX, "uint8", shape) for shape in [*SHAPES, (70_000, 17)]]
    + [(NORB, dtype, shape) for dtype in KINDS for shape in [*SHAPES, (1,) * 8]],
)
def test_every_type_of_every_rank_is_read_and_written(tmp_path, name, form, dtype, shape):
    array = (100 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    contents = form.files.contents(array)
    found = form.read(put(tmp_path, name, contents))
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.dtype.isnative
    form.write(tmp_path / f"again-{name}", array)
    written = (tmp_path / f"again-{name}").read_bytes()
    assert (gzip.decompress(written) if name.endswith(".gz") else written) == contents


@formats
def test_arrays_that_are_not_contiguous_are_written_and_equal_ones_give_equal_files(tmp_path, form):
    array = ARRAY.reshape(4, 6)[:, ::2].T
    form.write(tmp_path / "a.gz", array)
    form.write(tmp_path / "b.gz", array.copy())
    np.testing.assert_array_equal(form.read(tmp_path / "a.gz"), array)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


NO_SHAPE = "it must have rank 1 to 8 and no side of 0"


@pytest.mark.parametrize(
    ("form", "array", "error", "message"),
    [
        (IDX, np.ones(3), TypeError, "array has dtype float64; it must be uint8"),
        (IDX, np.uint8(1), ValueError, "array has shape (); an IDX file here has rank 1 to 4"),
        (IDX, np.ones((1,) * 5, np.uint8), ValueError, "array has shape (1, 1, 1, 1, 1)"),
        (IDX, np.ones((3, 0), np.uint8), ValueError, "array has shape (3, 0); every side must be"),
    ]
    + [
        (NORB, np.ones((2, 2), dtype), TypeError, f"array has dtype {dtype}")
        for dtype in ("int8", "int64", "complex64", "bool")
    ]
    + [
        (NORB, np.ones(shape, np.uint8), ValueError, NO_SHAPE)
        for shape in [(), (0,), (2, 0), (1,) * 9]
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, form, array, error, message):
    with pytest.raises(error, match=re.escape(message)):
        form.write(tmp_path / "a", array)
    assert os.listdir(tmp_path) == []


@endings
@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (IDX, ["its magic number", "side 1", "side 2", "side 3"]),
        (NORB, ["its magic number", "its rank", "side 1 of 3", "side 2 of 3", "side 3 of 3"]),
    ],
)
def test_a_file_that_ends_in_its_header_is_refused(tmp_path, name, form, fields):
    for length in range(4 * len(fields)):
        path = put(tmp_path, name, form.whole[:length])
        refuses(form, path, "ends inside its", f"after {length % 4} of", fields[length // 4])


@endings
@pytest.mark.parametrize(
    ("form", "magic", "message"),
    [
        (IDX, "01 00 08 03", "starts with 01 00 08 03, which is no IDX file; it must be 00 00 08 "),
        (IDX, "00 01 08 03", "starts with 00 01 08 03, which is no IDX file"),
        (IDX, "89 50 4e 47", "starts with 89 50 4e 47, which is no IDX file"),
        (IDX, "00 00 0d 03", "its type 0x0d is float32; it must be 00 00 08 and a rank of 01 to "),
        (IDX, "00 00 09 03", "its type 0x09 is int8"),
        (IDX, "00 00 07 03", "its type 0x07 is unknown to IDX"),
        (IDX, "00 00 08 00", "its rank is 0; it must be 00 00 08 and a rank of 01 to 04"),
        (IDX, "00 00 08 05", "its rank is 5"),
        (IDX, "00 00 08 ff", "its rank is 255"),
        (NORB, "1e 3d 4c 55", "starts with 1e 3d 4c 55; it must be 51,"),  # big-endian
        (NORB, "57 4c 3d 1e", "starts with 57 4c 3d 1e; it must be 51,"),
        (NORB, "52 4c 3d 1e", "a packed matrix, which NORB does not use"),
        (NORB, "80 02 7d 71", "starts with 80 02 7d 71"),
    ],
)
def test_a_wrong_magic_number_is_refused(tmp_path, name, form, magic, message):
    refuses(form, put(tmp_path, name, bytes.fromhex(magic) + form.whole[4:]), message)


RANKS = (0, -1, 9, 2**31 - 1, -(2**31))
AXES = (1, 2, 3)


@endings
@pytest.mark.parametrize(
    ("form", "field", "values", "message"),
    [(NORB, 1, RANKS, "declares a rank of {}; it must be 1 to 8")]
    + [(IDX, axis, (0,), f"side {axis} of 3 is {{}}; it must not be") for axis in AXES]
    + [(NORB, 1 + a, (0, -1, -(2**31)), f"side {a} of 3 is {{}}; it must be 1 or") for a in AXES],
)
def test_a_rank_or_side_that_is_none_is_refused(tmp_path, name, form, field, values, message):
    for value in values:
        contents = form.whole[: 4 * field] + struct.pack("<i", value) + form.whole[4 * field + 4 :]
        refuses(form, put(tmp_path, name, contents), message.format(value))


@formats
@endings
@pytest.mark.parametrize("more", [-1, -23, -24, 1, 1000])
def test_another_number_of_bytes_than_declared_is_refused(tmp_path, name, form, more):
    contents = form.whole[:more] if more < 0 else form.whole + bytes(more)
    there = [f"{24 + more}"] if more < 0 else []
    path = put(tmp_path, name, contents)
    refuses(form, path, f"declares {form.sides} = 24 bytes", "exactly as many", *there)


@endings
@pytest.mark.parametrize(
    ("form", "dtype", "sides"),
    [
        (IDX, "uint8", (2**32 - 1,) * 4),  # more than 128 bits
        (IDX, "uint8", (2**16,) * 4),  # 0 in 64 bits
        (IDX, "uint8", (2**31, 2, 1, 1)),  # 0 in 32 bits
        (IDX, "uint8", (2**32 - 1, 1, 1, 1)),  # -1 in 32 bits
        (IDX, "uint8", (2, 3, 4, 2**30 + 1)),  # the 24 bytes that are there, in 32 bits
    ]
    + [
        (NORB, dtype, sides)
        for dtype in ("uint8", "float64")
        for sides in [
            (2**31 - 1,) * 8,  # more than 248 bits
            (2**16,) * 4,  # 0 in 64 bits
            (2**16, 2**16, 1),  # 0 in 32 bits
            (2**30, 2**30, 2, 2),  # 0 in 32 bits, and in 64 with 8 bytes an element
            (24_300, 2, 108, 108),  # not absurd, only not there
        ]
    ],
)
def test_nothing_is_allocated_for_sides_that_lie(tmp_path, name, form, dtype, sides):
    path = put(tmp_path, name, form.files.header(dtype, sides) + bytes(24))
    with allocating_less_than(1 << 20):
        refuses(form, path, f"= {math.prod(sides) * np.dtype(dtype).itemsize} bytes")


@formats
def test_a_gzip_file_that_falls_short_is_read_only_as_far_as_it_goes(tmp_path, form):
    header = form.files.header("uint8", (6000, 1000, 10))
    path = put(tmp_path, "short.gz", header + np.random.default_rng(0).bytes(65_536))
    with allocating_less_than(4 << 20):
        refuses(form, path, "= 60000000 bytes", "only 65536")


@formats
def test_a_gzip_file_is_not_unpacked_beyond_what_it_declares(tmp_path, form):
    path = put(tmp_path, "bomb.gz", form.whole + bytes(64 << 20))
    with allocating_less_than(4 << 20):
        refuses(form, path, f"declares {form.sides} = 24 bytes", "there are more")


def test_the_most_compressible_file_is_still_read(tmp_path):
    """The bound on what gzip can unpack to refuses nothing real."""
    write_idx(tmp_path / "zeros.gz", np.zeros((1000, 10_000), np.uint8))
    assert not read_idx(tmp_path / "zeros.gz").any()


@formats
def test_a_gzip_file_truncated_anywhere_is_refused(tmp_path, form):
    packed, path = gzip.compress(form.whole), tmp_path / "a.gz"
    for length in range(2, len(packed)):
        path.write_bytes(packed[:length])
        refuses(form, path, "is a truncated gzip file: it ends before")


@formats
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plain.gz", "; a gzip file (its name ends in .gz) starts with"),
        ("empty.gz", "is empty; a gzip file"),
        ("packed", "a gzip file, but its name does not end in .gz; rename it"),
        ("empty", "ends inside its magic number, after 0 of 4 bytes"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, form, name, message):
    contents = {"plain.gz": form.whole, "packed": gzip.compress(form.whole)}.get(name, b"")
    (tmp_path / name).write_bytes(contents)
    refuses(form, tmp_path / name, message)


@pytest.mark.parametrize("bit", [0x01, 0x10, 0x80])
def test_a_gzip_file_altered_anywhere_is_refused_or_unpacks_to_the_same(tmp_path, bit):
    packed, refused = gzip.compress(IDX.whole), 0
    for position in range(len(packed)):
        altered = bytearray(packed)
        altered[position] ^= bit
        (tmp_path / "a.gz").write_bytes(altered)
        try:
            array = read_idx(tmp_path / "a.gz")
        except DatasetError as error:
            assert str(tmp_path / "a.gz") in str(error)  # noqa: PT017 (refused, or else equal)
            refused += 1
        else:  # a bit of padding, or of the time in gzip's header
            np.testing.assert_array_equal(array, ARRAY)
    assert refused > len(packed) / 2


@formats
def test_a_missing_file_is_named(tmp_path, form):
    with pytest.raises(FileNotFoundError, match="absent"):
        form.read(tmp_path / "absent")
