"""NORB's matrix files are read exactly or refused, with a message that says what was found."""

import contextlib
import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from minisca.datasets import DatasetError, read_norb_matrix, write_norb_matrix
from tests.support import norb_files

# 2 x 3 x 4 bytes, 0 to 23
HEADER = bytes.fromhex("55 4c 3d 1e") + struct.pack("<i3i", 3, 2, 3, 4)
WHOLE = HEADER + bytes(range(24))
NAMES = ["pairs-dat.mat", "pairs-dat.mat.gz"]
DTYPES = ["uint8", "int16", "int32", "float32", "float64"]

named = pytest.mark.parametrize("name", NAMES)


def put(directory, name, contents):
    """Write `contents` as a file, gzipped where the name says so, by nothing of minisca's."""
    path = directory / name
    path.write_bytes(gzip.compress(contents) if name.endswith(".gz") else contents)
    return path


def refuses(path, *words):
    """Reading `path` raises a DatasetError that names it and says each of `words`."""
    with pytest.raises(DatasetError) as error:
        read_norb_matrix(path)
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


@named
def test_reads_the_format_as_it_is_defined(tmp_path, name):
    array = read_norb_matrix(put(tmp_path, name, WHOLE))
    np.testing.assert_array_equal(
        array, np.arange(24, dtype=np.uint8).reshape(2, 3, 4), strict=True
    )
    array[0] = 1  # the caller's own: writable


@named
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (5, 4), (2, 3, 4), (3, 2, 4, 5), (1,) * 8])
def test_reads_every_type_of_every_rank_and_writes_it_again(tmp_path, name, dtype, shape):
    array = (100 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    contents = norb_files.matrix(array)
    found = read_norb_matrix(put(tmp_path, name, contents))
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.dtype.isnative
    write_norb_matrix(tmp_path / f"again-{name}", array)
    written = (tmp_path / f"again-{name}").read_bytes()
    assert (gzip.decompress(written) if name.endswith(".gz") else written) == contents


def test_ranks_below_3_have_three_sides_all_the_same(tmp_path):
    labels = (
        bytes.fromhex("54 4c 3d 1e") + struct.pack("<i3i", 1, 2, 1, 1) + struct.pack("<2i", 4, 0)
    )
    assert read_norb_matrix(put(tmp_path, "cat.mat", labels)).tolist() == [4, 0]


@named
@pytest.mark.parametrize("length", range(len(HEADER)))
def test_refuses_a_file_that_ends_in_its_header(tmp_path, name, length):
    refuses(put(tmp_path, name, WHOLE[:length]), "ends inside its", f"after {length % 4} of")


@named
@pytest.mark.parametrize(
    ("magic", "message"),
    [
        ("1e 3d 4c 55", "starts with 1e 3d 4c 55; it must be 51,"),  # big-endian
        ("57 4c 3d 1e", "starts with 57 4c 3d 1e; it must be 51,"),
        ("52 4c 3d 1e", "a packed matrix, which NORB does not use"),
        ("1f 8b 08 00", "a gzip file, but its name does not end in .gz"),
        ("80 02 7d 71", "starts with 80 02 7d 71"),
    ],
)
def test_refuses_a_wrong_magic_number(tmp_path, name, magic, message):
    refuses(put(tmp_path, name, bytes.fromhex(magic) + WHOLE[4:]), message)


@named
@pytest.mark.parametrize("rank", [0, -1, 9, 2**31 - 1, -(2**31)])
def test_refuses_a_rank_that_is_none(tmp_path, name, rank):
    contents = WHOLE[:4] + struct.pack("<i", rank) + WHOLE[8:]
    refuses(put(tmp_path, name, contents), f"declares a rank of {rank}; it must be 1 to 8")


@named
@pytest.mark.parametrize("side", [0, -1, -(2**31)])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_refuses_a_side_below_1(tmp_path, name, axis, side):
    at = 4 + 4 * axis
    contents = WHOLE[:at] + struct.pack("<i", side) + WHOLE[at + 4 :]
    refuses(put(tmp_path, name, contents), f"side {axis} of 3 is {side}; it must be 1 or more")


@named
@pytest.mark.parametrize("missing", [1, 23, 24])
def test_refuses_fewer_bytes_than_declared(tmp_path, name, missing):
    path = put(tmp_path, name, WHOLE[:-missing])
    refuses(path, "declares 2 x 3 x 4 of uint8 = 24 bytes", "exactly as many", f"{24 - missing}")


@named
@pytest.mark.parametrize("extra", [1, 1000])
def test_refuses_more_bytes_than_declared(tmp_path, name, extra):
    path = put(tmp_path, name, WHOLE + bytes(extra))
    refuses(path, "declares 2 x 3 x 4 of uint8 = 24 bytes", "exactly as many")


@named
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize(
    "sides",
    [
        (2**31 - 1,) * 8,  # more than 248 bits
        (2**16, 2**16, 2**16, 2**16),  # 0 in 64 bits
        (2**16, 2**16, 1),  # 0 in 32 bits
        (2**30, 2**30, 2, 2),  # 0 in 32 bits, and in 64 with 8 bytes an element
        (24_300, 2, 108, 108),  # not absurd, only not there
    ],
)
def test_refuses_sides_that_lie_without_allocating_for_them(tmp_path, name, dtype, sides):
    magic = bytes([norb_files.MAGIC[dtype], 0x4C, 0x3D, 0x1E])
    contents = magic + struct.pack(f"<i{len(sides)}i", len(sides), *sides) + bytes(24)
    n_bytes = np.dtype(dtype).itemsize
    for side in sides:
        n_bytes *= side
    path = put(tmp_path, name, contents)
    with allocating_less_than(1 << 20):
        refuses(path, f"= {n_bytes} bytes")


def test_a_gzip_file_that_falls_short_of_its_claim_is_read_only_as_far_as_it_goes(
    tmp_path,
):
    header = bytes.fromhex("55 4c 3d 1e") + struct.pack("<i3i", 3, 6000, 1000, 10)
    path = put(tmp_path, "short.gz", header + np.random.default_rng(0).bytes(65_536))
    with allocating_less_than(4 << 20):
        refuses(path, "= 60000000 bytes", "only 65536")


def test_a_gzip_file_is_not_unpacked_beyond_what_it_declares(tmp_path):
    path = put(tmp_path, "bomb.gz", WHOLE + bytes(64 << 20))
    with allocating_less_than(4 << 20):
        refuses(path, "declares 2 x 3 x 4 of uint8 = 24 bytes", "there are more")


def test_refuses_a_truncated_gzip_file(tmp_path):
    packed = gzip.compress(WHOLE)
    for length in range(2, len(packed)):
        (tmp_path / "a.gz").write_bytes(packed[:length])
        refuses(tmp_path / "a.gz", "a truncated gzip file: it ends before")


@pytest.mark.parametrize("dtype", ["int8", "int64", "complex64", "bool"])
def test_does_not_write_a_type_that_the_format_lacks(tmp_path, dtype):
    with pytest.raises(TypeError, match=f"array has dtype {dtype}"):
        write_norb_matrix(tmp_path / "a.mat", np.ones((2, 2), dtype))


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,) * 9])
def test_does_not_write_a_shape_that_the_format_lacks(tmp_path, shape):
    with pytest.raises(ValueError, match="it must have rank 1 to 8 and no side of 0"):
        write_norb_matrix(tmp_path / "a.mat", np.ones(shape, np.uint8))
    assert not list(tmp_path.iterdir())
