"""A gzip file that is damaged, cut or wrongly named is refused."""

import gzip

import numpy as np
import pytest

from minisca.datasets import DatasetError, read_idx, read_norb_matrix
from tests.support import mnist_files, norb_files

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
WHOLE = mnist_files.contents(ARRAY)
FORMATS = [(read_idx, WHOLE), (read_norb_matrix, norb_files.matrix(ARRAY))]


@pytest.mark.parametrize(("read", "whole"), FORMATS, ids=["idx", "norb"])
def test_a_gzip_file_truncated_anywhere_is_refused(tmp_path, read, whole):
    packed, path = gzip.compress(whole), tmp_path / "a.gz"
    for length in range(2, len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(DatasetError, match=r"a\.gz is a truncated gzip file: it ends before"):
            read(path)


@pytest.mark.parametrize(("read", "whole"), FORMATS, ids=["idx", "norb"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plain.gz", r"starts with .. ..; a gzip file \(its name ends in \.gz\) starts with"),
        ("empty.gz", "is empty; a gzip file"),
        ("packed", r"a gzip file, but its name does not end in \.gz; rename it"),
        ("empty", "ends inside its magic number, after 0 of 4 bytes"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, read, whole, name, message):
    contents = {"plain.gz": whole, "packed": gzip.compress(whole)}.get(name, b"")
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(DatasetError, match=message) as error:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


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
            np.testing.assert_array_equal(array, ARRAY)
    assert refused > len(packed) / 2


@pytest.mark.parametrize("read", [read_idx, read_norb_matrix])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="absent"):
        read(tmp_path / "absent")
