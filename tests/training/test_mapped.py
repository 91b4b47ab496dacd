"""Images in a mapped file: the same is learned, and no more is fetched than a batch's images."""

import mmap

import numpy as np
import pytest

from minisca.training import mapped
from minisca.training.mapped import MappedImages, if_mapped
from tests.support.layers import assert_same_state, images, layer


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A mapped file of images, as if they were many."""
    monkeypatch.setattr(mapped, "LARGE_BYTES", 0)
    np.save(tmp_path / "x.npy", images())
    return np.load(tmp_path / "x.npy", mmap_mode="r")


class Noting:
    """A map that notes which bytes are wanted."""

    def __init__(self):
        self.wanted = []

    def madvise(self, option, start, length):
        assert option == mmap.MADV_WILLNEED
        assert start % mmap.PAGESIZE == 0
        self.wanted.append((start, start + length))


def refuse(*_):
    raise OSError("no advice")


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="the system takes no advice")
def test_what_lies_in_a_mapped_file_is_learned_from_as_arrays_are(file):
    views = file, file[3:], np.asarray(file), file.reshape(-1, 1, 7, 8)
    assert all(isinstance(if_mapped(X), MappedImages) for X in views)
    for X in views[:2]:
        for settings in ({}, {"centre": True}, {"dtype": "float64"}):
            assert_same_state(layer(**settings).fit(X), layer(**settings).fit(np.array(X)))


def test_the_images_of_a_batch_are_asked_for_and_no_others(file):
    noted, start, rows = Noting(), 128, np.array([0, 19, 39])
    found = MappedImages(file, noted, start)
    np.testing.assert_array_equal(found[rows], file[rows])
    for (first, end), row in zip(noted.wanted, rows, strict=True):
        place = start + row * file[0].nbytes
        assert first <= place < first + mmap.PAGESIZE
        assert end == place + file[0].nbytes
    noted.madvise = refuse
    np.testing.assert_array_equal(found[rows], file[rows])
    assert found[2:5].shape == (3, 1, 8, 7)
    assert len(noted.wanted) == len(rows)


def test_others_are_left_as_they_are(file, monkeypatch):
    memory = images()
    for X in (memory, file[::2], file.transpose(0, 1, 3, 2), [1], None):
        assert if_mapped(X) is X
    monkeypatch.setattr(mapped, "LARGE_BYTES", 1 << 30)
    assert if_mapped(file) is file
