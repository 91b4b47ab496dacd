"""Features beyond memory lie in files that a full disk cannot leave behind unfinished."""

import errno
import os

import numpy as np
import pytest
from features.files import FeatureFiles, Rows

from tests.support.layers import images, layer


@pytest.fixture(scope="module")
def fitted():
    return layer(n_epochs=1).fit(images())


def test_the_file_holds_the_features_in_float16(fitted, tmp_path):
    x = images(n=600)  # three batches
    files = FeatureFiles(tmp_path / "features")
    found = files.encode(fitted, x)
    other = files.encode(fitted, x[:3])
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, fitted.transform(x).astype(np.float16), strict=True)
    np.testing.assert_array_equal(other, found[:3])


def test_two_that_share_a_directory_have_files_of_their_own(fitted, tmp_path):
    one, other = (FeatureFiles(tmp_path).encode(fitted, images(seed=n)) for n in (0, 1))
    for found, n in ((one, 0), (other, 1)):
        np.testing.assert_array_equal(found, fitted.transform(images(seed=n)).astype(np.float16))


@pytest.mark.skipif(os.name != "posix", reason="a file without a name is POSIX's")
def test_no_file_has_a_name_that_a_killed_process_would_leave(fitted, tmp_path, monkeypatch):
    names, write = [tmp_path.name], Rows.__setitem__

    def noted(*given):
        write(*given)
        names.append(os.listdir(tmp_path))

    monkeypatch.setattr(Rows, "__setitem__", noted)
    found = FeatureFiles(tmp_path).encode(fitted, images(n=300))
    assert [*names, os.listdir(tmp_path)] == [tmp_path.name, [], [], []]
    assert len(found) == 300


def break_after_first_block(monkeypatch, error):
    write = Rows.__setitem__

    def fill(rows, where, values):
        if where.start > 0:
            raise error
        write(rows, where, values)

    monkeypatch.setattr(Rows, "__setitem__", fill)


def test_a_full_disk_is_named_and_the_unfinished_file_removed(fitted, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    break_after_first_block(monkeypatch, full)
    with pytest.raises(OSError, match="the disk is full") as caught:
        FeatureFiles(tmp_path).encode(fitted, images(n=300))
    assert caught.value.errno == errno.ENOSPC
    for said in (
        "(300, 4, 4, 4) take 3.58e-05 GiB in float16",  # 300 x 64 x 2 bytes
        "--output on another disk",
        str(tmp_path),
    ):
        assert said in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_another_error_of_the_disk_is_passed_on(fitted, tmp_path, monkeypatch):
    broken = OSError(errno.EIO, "broken")
    break_after_first_block(monkeypatch, broken)
    with pytest.raises(OSError, match="broken") as caught:
        FeatureFiles(tmp_path).encode(fitted, images(n=300))
    assert caught.value is broken
    assert os.listdir(tmp_path) == []


def test_features_beyond_float16_are_refused(fitted, tmp_path):
    with pytest.raises(ValueError, match="float16 has numbers up to 65504"):
        FeatureFiles(tmp_path).encode(fitted, 1e7 * images())
    assert os.listdir(tmp_path) == []


def test_rows_must_come_in_order(tmp_path):
    with open(tmp_path / "rows", "wb") as file:
        rows = Rows(file, (4, 1))
        rows[0:2] = np.zeros((2, 1))
        with pytest.raises(IndexError, match="rows from 3 were given; row 2 is next"):
            rows[3:4] = np.zeros((1, 1))
