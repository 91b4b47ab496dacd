"""What the tests of figures share: images, and two layers that were fitted to them."""

import numpy as np
import pytest

from minisca import SparseConvAutoencoder, Stack


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).random((20, 1, 12, 10), dtype=np.float32)


@pytest.fixture(scope="session")
def stack(images):
    options = {"filter_width": 3, "n_epochs": 1, "batch_size": 10, "random_state": 0}
    lower = SparseConvAutoencoder(n_maps=5, pool_width=3, pool_stride=2, **options)
    upper = SparseConvAutoencoder(n_maps=7, pool_width=2, pool_stride=2, **options)
    return Stack([lower, upper]).fit(images)
