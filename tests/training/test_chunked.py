"""Images in chunks: each is unpacked once an epoch, and a small set is read as an array is."""

import numpy as np
import pytest

from minisca.training import chunked
from minisca.training.batches import sorted_batches
from minisca.training.chunked import in_chunks
from tests.support.layers import assert_same_state, images, layer


class Chunks:
    """Looks like a data set in chunks of 4 images, and counts how often each is unpacked."""

    def __init__(self, X):
        self.X, self.shape, self.dtype = X, X.shape, X.dtype
        self.chunks = (4, *X.shape[1:])
        self.unpacked = np.zeros(-(-len(X) // 4), int)

    def __getitem__(self, rows):
        self.unpacked[np.unique(np.arange(len(self.X))[rows] // 4)] += 1
        return self.X[rows]


@pytest.fixture
def groups_of_three(monkeypatch):
    """Groups of three chunks of `images`."""
    monkeypatch.setattr(chunked, "GROUP_BYTES", 3 * 4 * 8 * 7 * 4)


def test_each_chunk_is_unpacked_once_an_epoch(groups_of_three):
    stored = Chunks(images(98))
    X = in_chunks(stored)
    order = X.order(np.random.default_rng(0))
    assert sorted(order) == list(range(98))
    for rows in sorted_batches(order, 6):
        np.testing.assert_array_equal(X[rows], stored.X[rows])
    assert stored.unpacked.min() == 1
    assert stored.unpacked.sum() <= 25 + 8  # a batch that begins a group may unpack one again


def test_a_batch_is_of_one_group_or_two_and_groups_are_new_every_epoch(groups_of_three):
    random, X = np.random.default_rng(0), in_chunks(Chunks(images(96)))
    orders = [X.order(random) for _ in range(2)]
    groups = [[frozenset(g // 4) for g in order.reshape(-1, 12)] for order in orders]
    assert all(len(group) == 3 for of_epoch in groups for group in of_epoch)
    assert set(groups[0]) != set(groups[1])
    assert (np.diff(orders[0]) != 1).sum() > 80  # images of a group are shuffled too


def test_what_fits_into_a_group_is_learned_from_as_from_an_array():
    x = images(40)
    assert_same_state(layer().fit(Chunks(x)), layer().fit(x))


def test_more_than_a_group_is_learned_from_the_same_every_time(groups_of_three, tmp_path):
    x = Chunks(images(40))
    whole = layer().fit(x)
    assert whole.loss_history_[-1] < whole.loss_history_[0]
    part = layer().fit(x, checkpoint=tmp_path / "a", callbacks=[lambda layer, epoch, loss: True])
    assert part.n_epochs_done_ == 1
    assert_same_state(layer().fit(x, checkpoint=tmp_path / "a", resume=True), whole)


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_compressed_hdf5_is_learned_from_as_arrays_are(compression, tmp_path):
    h5py = pytest.importorskip("h5py")
    x = images(40)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        stored = file.create_dataset("x", data=x, chunks=(8, *x.shape[1:]), compression=compression)
        assert_same_state(layer().fit(stored), layer().fit(x))


def test_zarr_is_learned_from_as_arrays_are():
    zarr = pytest.importorskip("zarr")
    x = images(40)
    stored = zarr.create_array({}, shape=x.shape, dtype=x.dtype, chunks=(8, *x.shape[1:]))
    stored[:] = x
    assert_same_state(layer().fit(stored), layer().fit(x))
