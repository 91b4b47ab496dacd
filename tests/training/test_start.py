"""What a layer starts from: noise, or patches of the images that it is to learn from."""

import numpy as np
import pytest

from minisca.baselines import dense_patches
from tests.support.layers import RULES, Slices, assert_same_state, images, layer, over_rules


def started(x, **options):
    """A layer of which no epoch is done."""
    options = {"init_filters": "patches", "n_epochs": 0, "n_maps": 6} | options
    return layer(**options).fit(x)


def flat(filters):
    return filters.reshape(len(filters), -1).astype(np.float64)


def similarity(filters, patches):
    """The largest cosine of each filter to any patch that is not blank."""
    patches = flat(patches)
    patches = patches[np.abs(patches).sum(axis=1) > 0]
    unit = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (flat(filters), patches))
    own, theirs = unit
    return (own @ theirs.T).max(axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("centre", [False, True])
def test_filters_are_patches_of_the_images_as_long_as_noise_is(dtype, centre):
    x = images(channels=2) + np.float32(1)
    made = started(x, dtype=dtype, centre=centre)
    seen = x - made.centre_[:, None, None] if centre else x
    patches = dense_patches(seen, 3).reshape(-1, 2, 3, 3)
    np.testing.assert_allclose(similarity(made.encoder_filters_, patches), 1, rtol=1e-6)
    lengths = np.linalg.norm(flat(made.encoder_filters_), axis=1)
    np.testing.assert_allclose(lengths, 0.1 * np.sqrt(2 * 9), rtol=1e-6)  # init_scale is 0.1
    assert len(np.unique(flat(made.encoder_filters_), axis=0)) == 6
    assert not made.encoder_bias_.any()
    assert made.encoder_filters_.dtype == dtype


def test_encoder_and_decoder_start_alike_and_learn_apart():
    made = started(images())
    assert made.decoder_filters_ is not made.encoder_filters_
    np.testing.assert_array_equal(made.decoder_filters_, made.encoder_filters_)
    made.partial_fit(images())
    assert not np.array_equal(made.decoder_filters_, made.encoder_filters_)


def test_a_seed_decides_the_patches_and_images_are_read_some_at_a_time():
    x = images()
    assert_same_state(started(x), started(Slices(x)))
    assert not np.array_equal(
        started(x).encoder_filters_, started(x, random_state=1).encoder_filters_
    )


@over_rules
def test_every_rule_learns_from_patches(rule):
    made = layer(**RULES[rule] | {"init_filters": "patches", "n_epochs": 15}).fit(images())
    assert made.loss_history_[-1] < made.loss_history_[0]


def test_blank_patches_are_replaced_and_where_all_are_blank_by_noise():
    x = np.zeros((40, 1, 8, 7), np.float32)
    x[:4] = images(n=4)  # nine in ten patches are blank
    patches = dense_patches(x, 3).reshape(-1, 1, 3, 3)
    np.testing.assert_allclose(similarity(started(x).encoder_filters_, patches), 1, rtol=1e-6)
    lengths = np.linalg.norm(flat(started(np.zeros_like(x)).encoder_filters_), axis=1)
    assert np.all((lengths > 0.1) & (lengths < 0.6))  # init_scale times the root of 9, or about so


@pytest.mark.parametrize("unit", [1e-30, 1e25])
def test_the_images_unit_changes_no_filter_but_by_rounding(unit):
    x = images()
    np.testing.assert_allclose(
        started(x * np.float32(unit)).encoder_filters_, started(x).encoder_filters_, rtol=1e-4
    )


def test_too_few_patches_and_filters_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match=r"X has 4 patches of 7x7; .* one a map, 6"):
        started(images(n=2), filter_width=7)
    with pytest.raises(ValueError, match="filter_width is 9; for images of 8x7 pixels it must be"):
        started(images(), filter_width=9)


def test_noise_is_what_it_always_was():
    expected = 0.1 * np.random.default_rng(0).standard_normal((6, 1, 3, 3))
    found = started(images(), init_filters="random").encoder_filters_
    np.testing.assert_array_equal(found, expected.astype(np.float32))
