"""SparseConvAutoencoder learns, keeps what it learned, and is the same every time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minisca
from tests.support.layers import (
    PARAMETERS,
    RULES,
    assert_same_state,
    images,
    layer,
    learned,
    over_rules,
    variance,
)

CONSTANT = {"schedule": "constant"}

# The constructor ----------------------------------------------------------------------------


def test_the_constructor_stores_its_arguments_unchanged_and_checks_nothing():
    arguments = {name: object() for name in minisca.SparseConvAutoencoder()._defaults()}
    made = minisca.SparseConvAutoencoder(**arguments)
    assert made.get_params() == arguments
    assert vars(made) == arguments


def test_fit_leaves_the_parameters_as_they_were_given():
    made = layer(sparsity="top-n", n_active=np.int64(2), learning_rate=np.float32(0.01), n_epochs=1)
    before = made.get_params()
    made.fit(images(n=6))
    assert all(made.get_params()[name] is value for name, value in before.items())


# Learning -----------------------------------------------------------------------------------


@over_rules
def test_fit_sets_what_was_learned_in_the_documented_shapes(rule):
    made = layer(**RULES[rule])
    assert made.fit(images(n=13, channels=2), y=np.arange(13)) is made
    shapes = {name: getattr(made, name).shape for name in PARAMETERS}
    assert shapes == {
        "encoder_filters_": (4, 2, 3, 3),
        "encoder_bias_": (4,),
        "decoder_filters_": (4, 2, 3, 3),
        "decoder_bias_": (2,),
    }
    assert all(getattr(made, name).dtype == np.float32 for name in PARAMETERS)
    assert np.array_equal(made.decoder_filters_, made.encoder_filters_) == made.tied
    assert (made.n_channels_, made.image_size_, made.n_epochs_done_) == (2, (8, 7), 3)
    assert [type(loss) for loss in made.loss_history_] == [float] * 3


@pytest.mark.parametrize(
    "settings",
    [*RULES.values(), *(RULES[rule] | CONSTANT for rule in ("winner-take-all", "tied"))],
    ids=str,
)
def test_the_loss_falls_below_half_the_variance_under_every_rule(settings):
    x, unseen = images(), images(seed=1)
    made = layer(**settings, n_epochs=15).fit(x)
    assert len(made.loss_history_) == 15
    assert made.loss_history_[-1] < made.loss_history_[0]
    assert -made.score(x) < variance(x) / 2
    assert -made.score(unseen) < variance(unseen) / 2


def test_without_filters_worth_having_the_loss_is_the_variance():
    x = images()
    made = layer(n_epochs=0, init_scale=1e-9).fit(x)
    made.decoder_bias_[:] = x.mean()
    assert -made.score(x) == pytest.approx(variance(x), rel=1e-5)


def test_the_loss_of_an_epoch_weighs_every_image_alike():
    x = images(n=7)  # a batch of 6 and one of 1
    made = layer(learning_rate=1e-30, n_epochs=1).fit(x)
    assert made.loss_history_[0] == pytest.approx(-made.score(x), rel=1e-6)


def test_more_images_in_a_batch_than_there_are_is_one_batch_of_all_and_one_image_is_enough():
    for n in (6, 1):
        x = images(n=n)
        made = layer(batch_size=100).fit(x)
        assert_same_state(made, layer(batch_size=n).fit(x))
        assert np.isfinite(made.loss_history_).all()


def test_no_epochs_leaves_the_initial_filters_and_no_history():
    made = layer(n_epochs=0, n_maps=50).fit(images())
    assert made.loss_history_ == []
    assert made.n_epochs_done_ == 0
    assert not made.encoder_bias_.any()
    assert not made.decoder_bias_.any()
    for filters in (made.encoder_filters_, made.decoder_filters_):
        assert filters.std() == pytest.approx(0.1, rel=0.1)  # 450 draws: 3 sigma
    assert not np.array_equal(made.decoder_filters_, made.encoder_filters_)


def test_the_first_step_is_minus_the_learning_rate_times_the_gradient():
    x = images(n=6)
    start = layer(n_epochs=0, dtype="float64").fit(x)
    after = layer(n_epochs=1, dtype="float64").fit(x)
    loss, gradients = start.loss_and_gradients(x)
    energy = np.mean(x.astype(np.float64) ** 2) * 3 * 3
    assert start.patch_energy_ == pytest.approx(energy)
    rates = {"decoder_bias": 0.01 / 56, "encoder_bias": 0.01 / 10}
    for name, gradient in gradients.items():
        rate = rates.get(name, 0.01 / energy)
        step = getattr(after, f"{name}_") - getattr(start, f"{name}_")
        np.testing.assert_allclose(step, -rate * gradient, rtol=1e-6, atol=1e-12)
    assert after.loss_history_ == [pytest.approx(loss)]


def test_partial_fit_is_an_epoch_at_the_constant_rate_from_where_training_stands():
    x = images(n=18)
    made = layer().partial_fit(x)
    assert made.n_epochs_done_ == len(made.loss_history_) == 1
    first = made.encoder_filters_.copy()
    for _ in range(9):
        assert made.partial_fit(x) is made
    assert made.n_epochs_done_ == len(made.loss_history_) == 10
    assert made.loss_history_[-1] < made.loss_history_[0] / 2
    assert not np.array_equal(first, made.encoder_filters_)


def test_partial_fit_keeps_the_velocities():
    x = images(n=6)
    with_momentum, without = layer(momentum=0.9), layer(momentum=0.9)
    for made in (with_momentum, without):
        made.partial_fit(x)
    for velocity in without.state_.velocities.values():
        velocity[:] = 0
    assert_same_state(with_momentum, without)
    for made in (with_momentum, without):
        made.partial_fit(x)
    assert not np.array_equal(with_momentum.encoder_filters_, without.encoder_filters_)


def test_fit_begins_afresh_whatever_was_learned_before():
    made = layer().fit(images(seed=5))
    assert_same_state(made.fit(images()), layer().fit(images()))


@over_rules
@pytest.mark.parametrize("scale", [64, 1 / 1024])
def test_images_of_another_scale_give_the_same_filters_and_scaled_biases(rule, scale):
    one, other = (layer(**RULES[rule]).fit(factor * images()) for factor in (1, scale))
    assert np.abs(one.encoder_bias_).min() > 0
    for name in PARAMETERS:  # a power of two: every rounding is the same
        factor = scale if "bias" in name else 1
        np.testing.assert_array_equal(getattr(other, name), factor * getattr(one, name))


def test_images_that_are_all_zero_are_learned_at_once():
    made = layer().fit(np.zeros((9, 1, 8, 7)))
    assert made.loss_history_ == [0, 0, 0]
    assert made.patch_energy_ == 0


# The same every time ------------------------------------------------------------------------


@over_rules
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(rule):
    x = images(n=20)
    one, same, other = (layer(**{**RULES[rule], "random_state": s}).fit(x) for s in (3, 3, 4))
    assert_same_state(one, same)
    for name, value in learned(one).items():
        assert not np.array_equal(value, learned(other)[name])


def test_no_seed_is_different_every_time():
    one, other = (layer(random_state=None, n_epochs=0).fit(images(n=2)) for _ in range(2))
    assert not np.array_equal(one.encoder_filters_, other.encoder_filters_)


def test_training_does_not_touch_numpys_global_random_state():
    np.random.seed(0)  # noqa: NPY002 (the global generator is what must be left alone)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    layer().fit(images(n=6))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


HASH_OF_A_TRAINING = """
import hashlib, numba
from tests.support.layers import RULES, images, layer, learned
assert numba.get_num_threads() == {threads}
for rule in {rules}:
    made = layer(**RULES[rule]).fit(images(n=20, channels=2))
    arrays = [*learned(made).values(), made.transform(images(n=5, channels=2))]
    print(rule, hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit():
    root = str(Path(__file__).resolve().parents[2])
    printed = []
    for threads in (1, 3):
        code = HASH_OF_A_TRAINING.format(threads=threads, rules=sorted(RULES))
        counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        environment = os.environ | counts | {"PYTHONPATH": root}
        printed.append(subprocess.check_output([sys.executable, "-c", code], env=environment))
    assert len(printed[0].split()) == 2 * len(RULES)
    assert printed[0] == printed[1]
