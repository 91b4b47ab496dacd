"""IDX files are read exactly or refused, with a message that says what was found and is wanted."""

import contextlib
import gzip
import os
import re
import struct
import tracemalloc

import numpy as np
import pytest

from minisca.datasets import DatasetError, read_idx, write_idx

# 2 x 3 x 4 bytes, 0 to 23
HEADER = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4)
WHOLE = HEADER + bytes(range(24))
NAMES = ["images-idx3-ubyte", "images-idx3-ubyte.gz"]


def put(directory, name, contents):
    """Write `contents` as a file, gzipped where the name says so, by nothing of minisca's."""
    path = directory / name
    path.write_bytes(gzip.compress(contents) if name.endswith(".gz") else contents)
    return path


def refuses(path, *words):
    """Reading `path` raises a DatasetError that names it and says each of `words`."""
    with pytest.raises(DatasetError) as error:
        read_idx(path)
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


@pytest.mark.parametrize("name", NAMES)
def test_reads_the_format_as_it_is_defined(tmp_path, name):
    array = read_idx(put(tmp_path, name, WHOLE))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, np.arange(24).reshape(2, 3, 4))
    array[0] = 1  # the caller's own: writable


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (1, 2, 3, 4), (70_000, 17)])
def test_reads_what_it_writes(tmp_path, name, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_idx(tmp_path / name, array)
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)


def test_writes_the_format_as_it_is_defined(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for name in NAMES:
        write_idx(tmp_path / name, array)
    plain, packed = ((tmp_path / name).read_bytes() for name in NAMES)
    assert plain == gzip.decompress(packed) == WHOLE


def test_writes_arrays_that_are_not_contiguous(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)[:, ::2].T
    write_idx(tmp_path / "a", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_equal_arrays_give_equal_gzip_files(tmp_path):
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, np.ones((3, 3), np.uint8))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.ones(3), TypeError, "array has dtype float64; it must be uint8"),
        (np.uint8(1), ValueError, "array has shape (); an IDX file here has rank 1 to 4"),
        (np.ones((1,) * 5, np.uint8), ValueError, "array has shape (1, 1, 1, 1, 1)"),
        (np.ones((3, 0), np.uint8), ValueError, "array has shape (3, 0); every side must be"),
    ],
)
def test_refuses_to_write_what_it_could_not_read(tmp_path, array, error, message):
    with pytest.raises(error, match=re.escape(message)):
        write_idx(tmp_path / "a", array)
    assert os.listdir(tmp_path) == []


# ---- damaged headers


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", range(16))
def test_refuses_a_file_truncated_inside_its_header(tmp_path, name, length):
    where = "its magic number" if length < 4 else f"the 4 bytes of side {length // 4}"
    refuses(put(tmp_path, name, WHOLE[:length]), f"after {length % 4} of", where)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("magic", "message"),
    [
        ("01 00 08 03", "starts with 01 00 08 03, which is no IDX file; it must be 00 00 08 and a"),
        ("00 01 08 03", "starts with 00 01 08 03, which is no IDX file"),
        ("89 50 4e 47", "starts with 89 50 4e 47, which is no IDX file"),
        ("00 00 0d 03", "its type 0x0d is float32; it must be 00 00 08 and a rank of 01 to 04"),
        ("00 00 09 03", "its type 0x09 is int8"),
        ("00 00 07 03", "its type 0x07 is unknown to IDX"),
        ("00 00 08 00", "its rank is 0; it must be 00 00 08 and a rank of 01 to 04"),
        ("00 00 08 05", "its rank is 5"),
        ("00 00 08 ff", "its rank is 255"),
    ],
)
def test_refuses_a_wrong_magic_number(tmp_path, name, magic, message):
    refuses(put(tmp_path, name, bytes.fromhex(magic) + WHOLE[4:]), message)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_refuses_a_side_of_0(tmp_path, name, axis):
    contents = WHOLE[: 4 * axis] + bytes(4) + WHOLE[4 * axis + 4 :]
    refuses(put(tmp_path, name, contents), f"side {axis} of 3 is 0")


@pytest.mark.parametrize("name", NAMES)
def test_refuses_an_empty_file(tmp_path, name):
    refuses(put(tmp_path, name, b""), "ends inside its magic number, after 0 of 4 bytes")


# ---- contents that are not what the header declares


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", [1, 23, 24])
def test_refuses_fewer_bytes_than_declared(tmp_path, name, missing):
    path = put(tmp_path, name, WHOLE[:-missing])
    refuses(path, "declares 2 x 3 x 4 = 24 bytes", "exactly as many", f"{24 - missing}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("extra", [1, 1000])
def test_refuses_more_bytes_than_declared(tmp_path, name, extra):
    path = put(tmp_path, name, WHOLE + bytes(extra))
    refuses(path, "declares 2 x 3 x 4 = 24 bytes", "exactly as many")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "sides",
    [
        (2**32 - 1,) * 4,  # more than 128 bits
        (2**16, 2**16, 2**16, 2**16),  # 0 in 64 bits
        (2**31, 2, 1, 1),  # 0 in 32 bits
        (2**32 - 1, 1, 1, 1),  # -1 in 32 bits
        (2, 3, 4, 2**30 + 1),  # the 24 bytes that are there, in 32 bits
    ],
)
def test_refuses_overflowing_sides_without_allocating_for_them(tmp_path, name, sides):
    product = sides[0] * sides[1] * sides[2] * sides[3]
    path = put(tmp_path, name, bytes([0, 0, 8, 4]) + struct.pack(">4I", *sides) + bytes(24))
    with allocating_less_than(1 << 20):
        refuses(path, f"= {product} bytes")


def test_a_gzip_file_is_not_unpacked_beyond_what_it_declares(tmp_path):
    path = put(tmp_path, "bomb.gz", WHOLE + bytes(64 << 20))
    with allocating_less_than(4 << 20):
        refuses(path, "declares 2 x 3 x 4 = 24 bytes", "there are more")


def test_the_most_compressible_file_is_still_read(tmp_path):
    """The bound on what gzip can unpack to refuses nothing real."""
    write_idx(tmp_path / "zeros.gz", np.zeros((1000, 10_000), np.uint8))
    assert not read_idx(tmp_path / "zeros.gz").any()


# ---- damaged gzip files


def test_refuses_a_gz_file_that_is_not_gzipped(tmp_path):
    (tmp_path / "a.gz").write_bytes(WHOLE)
    refuses(tmp_path / "a.gz", "starts with 00 00; a gzip file (its name ends in .gz) starts with")


def test_refuses_an_empty_gz_file(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"")
    refuses(tmp_path / "a.gz", "is empty; a gzip file")


def test_refuses_a_gzipped_file_without_gz_in_its_name(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(WHOLE))
    refuses(tmp_path / "a", "a gzip file, but its name does not end in .gz; rename it")


def test_refuses_a_gzip_file_truncated_anywhere(tmp_path):
    packed = gzip.compress(WHOLE)
    for length in range(2, len(packed)):
        (tmp_path / "a.gz").write_bytes(packed[:length])
        refuses(tmp_path / "a.gz", "a truncated gzip file: it ends before")


@pytest.mark.parametrize("bit", [0x01, 0x10, 0x80])
def test_a_gzip_file_altered_anywhere_is_refused_or_unpacks_to_the_same(tmp_path, bit):
    packed = gzip.compress(WHOLE)
    refused = 0
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
            np.testing.assert_array_equal(array, np.arange(24).reshape(2, 3, 4))
    assert refused > len(packed) / 2


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")
