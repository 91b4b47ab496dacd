"""What the tests of estimators share: small images with something to learn, and layers for them.

Also what they compare layers with, and change files with.
"""

import json

import numpy as np
import pytest

from minisca import SparseConvAutoencoder

#: Every sparsity rule and constraint on the filters, with arguments at which `images` are learned
#: quickly.
RULES = {
    "winner-take-all": {},
    "top-n": {"sparsity": "top-n", "n_active": 2},
    "k-largest": {"sparsity": "k-largest", "n_active": 5},
    "none": {"sparsity": "none", "learning_rate": 0.003},
    "tied": {"tied": True},
    "lifetime": {"lifetime": 0.5},
}

over_rules = pytest.mark.parametrize("rule", RULES)

#: What a layer has learned and a file of it must hold.
PARAMETERS = ("encoder_filters_", "encoder_bias_", "decoder_filters_", "decoder_bias_")


def images(n=40, channels=1, height=8, width=7, seed=0):
    """Three motifs, each pasted at one random place of every image: (n, c, h, w) float32."""
    rng = np.random.default_rng(seed)
    motifs = np.random.default_rng(100).standard_normal((3, channels, 3, 3))
    x = np.zeros((n, channels, height, width), np.float32)
    for image in x:
        for motif in motifs:
            row, column = rng.integers(height - 2), rng.integers(width - 2)
            image[:, row : row + 3, column : column + 3] += motif * rng.uniform(0.5, 1)
    return x


def layer(**parameters):
    """A small layer; whatever is not given is small, quick and seeded."""
    small = {
        **{"n_maps": 4, "filter_width": 3, "pool_width": 3, "pool_stride": 2, "encoding_bias": 1},
        **{"n_epochs": 3, "batch_size": 6, "learning_rate": 0.01, "init_scale": 0.1},
        **{"random_state": 0, "backend": "cpu", "verbose": False},
    }
    return SparseConvAutoencoder(**{**small, **parameters})


def few(n=7, seed=0):
    """Images of 5 x 4 for `small` layers: a batch of 4 and one of 3."""
    return images(n, height=5, width=4, seed=seed)


def small(**parameters):
    """A layer of which even Numba's simulator trains an epoch on `few` images in a second."""
    sizes = {"n_maps": 3, "n_epochs": 2, "batch_size": 4, "dtype": "float64"}
    return layer(**sizes | {"learning_rate": 0.02} | parameters)


def variance(x):
    """The loss of the best constant for every channel: what a layer without filters can reach."""
    return float(np.sum((x - x.mean(axis=(0, 2, 3), keepdims=True)) ** 2) / len(x))


def learned(layer):
    """Everything that training set, as one dict of arrays."""
    state = {name: getattr(layer, name) for name in PARAMETERS}
    return {**state, "loss_history_": np.array(layer.loss_history_)}


def assert_same_state(one, other):
    """The two layers learned the same, bit for bit."""
    for name, value in learned(one).items():
        np.testing.assert_array_equal(value, learned(other)[name], err_msg=name, strict=True)


def refusal(error, function, *arguments, **options):
    """The message of exactly this error, which the call raises.

    By its name: where scikit-learn is loaded, a NotFittedError is one of its own too.
    """
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert caught.type.__name__ == error.__name__
    return str(caught.value)


class Slices:
    """Like an HDF5 data set: a shape, a dtype, and slices; it remembers which rows were read.

    A fresh fit reads every row once to measure the images, then once an epoch.

    fail_at: the number of the read that raises KeyboardInterrupt.
    """

    def __init__(self, array, fail_at=None):
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self.reads = []
        self.fail_at = fail_at

    def __getitem__(self, rows):
        if len(self.reads) == self.fail_at:
            raise KeyboardInterrupt
        self.reads.append(np.arange(self.shape[0])[rows])
        assert np.all(np.diff(self.reads[-1]) > 0), "HDF5 takes rising rows only"
        return self.array[rows]

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole array was asked for")


def rewrite(path, change, in_header=None):
    """Change the checkpoint at `path` by `change(arrays, settings)`, and its header's entries."""
    with np.load(path, allow_pickle=False) as entries:
        arrays = dict(entries)
    header = json.loads(arrays.pop("minisca").tobytes())
    change(arrays, header["settings"])
    header |= in_header or {}
    np.savez(path, minisca=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
