"""What the winner-take-all constraint is for (paper section 2.1)."""

import numpy as np
import pytest

import minisca
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.layers import layer, variance


@pytest.fixture(scope="module")
def digits():
    return minisca.datasets.load_mnist_sample().train_images[:1000]


@pytest.mark.parametrize("seed", [0, 1])
def test_winner_take_all_uses_every_map_where_k_largest_leaves_most_of_them_dead(digits, seed):
    settings = {"n_maps": 16, "filter_width": 7, "n_epochs": 8, "batch_size": 50}
    settings |= {"learning_rate": 0.01, "init_scale": 0.01, "random_state": seed}
    winners = layer(**settings).fit(digits)
    # as many units survive, 16 an image; they need not be in different maps
    largest = layer(**settings, sparsity="k-largest", n_active=16).fit(digits)
    dead = 0.001
    assert np.sum(winners.usage(digits) < dead) == 0
    assert np.sum(largest.usage(digits) < dead) >= 12
    assert winners.score(digits) > largest.score(digits)


def largest_tap_share(filters):
    """The share of each filter's energy that lies in its largest tap: 1 for a delta."""
    energy = filters.reshape(len(filters), -1) ** 2
    return energy.max(axis=1) / energy.sum(axis=1)


def test_without_the_constraint_filters_become_deltas_that_copy_the_image(digits):
    x = ZCA().fit_transform(contrast_normalise(digits[:300, :, 7:20, 7:20]))
    settings = {"n_maps": 8, "filter_width": 5, "n_epochs": 60, "batch_size": 30}
    winners = layer(**settings, learning_rate=0.025, init_scale=0.01).fit(x)
    every_unit = layer(**settings, learning_rate=0.01, init_scale=0.01, sparsity="none").fit(x)
    assert -every_unit.score(x) < 0.01 * variance(x)
    assert -winners.score(x) > 0.3 * variance(x)
    assert np.median(largest_tap_share(every_unit.encoder_filters_)) > 0.5
    assert np.median(largest_tap_share(winners.encoder_filters_)) < 0.3
