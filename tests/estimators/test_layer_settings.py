"""How a layer steps: the rate's schedule, filters of length 1."""

import numpy as np
import pytest

from minisca.training.optim import SCHEDULES, SGD
from tests.support.layers import RULES, assert_same_state, images, layer

over_tied = pytest.mark.parametrize("tied", [False, True])


FALLS = {"linear": 1 - np.arange(40) / 40, "constant": np.ones(40)}


@pytest.fixture
def rates(monkeypatch):
    """The learning rates of all steps from now on, which change nothing."""
    found = []
    monkeypatch.setattr(SGD, "step", lambda self, gradients, rate: found.append(rate))
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_fit_warms_up_then_follows_its_schedule_and_partial_fit_keeps_the_rate(schedule, rates):
    made = layer(n_epochs=10, batch_size=2, schedule=schedule, warmup_steps=3).fit(images(n=8))
    rises = [0.25, 0.5, 0.75, *[1] * 37]
    np.testing.assert_allclose(rates, 0.01 * FALLS[schedule] * rises, rtol=1e-12)
    rates.clear()
    made.partial_fit(images(n=8))
    assert rates == [0.01] * 4


def test_the_warm_up_takes_at_most_a_fifth_of_all_steps(rates):
    for steps in (1000, 8, 0):
        layer(n_epochs=10, batch_size=2, warmup_steps=steps).fit(images(n=8))
    long, fifth, without = rates[:40], rates[40:80], rates[80:]
    assert long == fifth
    assert long[8:] == without[8:]
    assert max(without) == without[0] == 0.01


def test_schedules_differ_in_what_is_learned():
    linear, constant = (layer(schedule=name).fit(images()) for name in SCHEDULES)
    assert_same_state(linear, layer().fit(images()))
    assert not np.array_equal(linear.encoder_filters_, constant.encoder_filters_)


# Filters of length 1 --------------------------------------------------------------------------


def norms(filters):
    return np.sqrt((filters.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))


def assert_length_1(filters):
    """Up to the bound derived in test_normalise.py."""
    bound = (filters[0].size / 2 + 4) * np.finfo(filters.dtype).eps
    assert np.all(np.abs(norms(filters) - 1) <= bound)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n_epochs", [0, 2])
def test_decoder_filters_have_length_1_from_the_start_and_after_training(rule, n_epochs, dtype):
    options = RULES[rule] | {"normalise_filters": True}
    made = layer(**options, n_epochs=n_epochs, dtype=dtype).fit(images(channels=2))
    assert_length_1(made.decoder_filters_)
    made.partial_fit(images(channels=2))
    assert_length_1(made.decoder_filters_)
    assert (made.encoder_filters_ is made.decoder_filters_) == made.tied


@over_tied
def test_initial_filters_are_those_of_the_seed_divided_by_their_norms(tied):
    plain, made = (
        layer(tied=tied, normalise_filters=on, n_epochs=0, dtype="float64").fit(images())
        for on in (False, True)
    )
    right = plain.decoder_filters_ / norms(plain.decoder_filters_)[:, None, None, None]
    np.testing.assert_allclose(made.decoder_filters_, right, rtol=1e-14)
    if not tied:  # only the decoder's are held
        np.testing.assert_array_equal(made.encoder_filters_, plain.encoder_filters_)


@over_tied
def test_a_step_is_the_plain_one_and_then_the_projection(tied):
    x = images(n=6)  # one batch
    options = {"tied": tied, "normalise_filters": True, "dtype": "float64", "momentum": 0}
    start, after = (layer(**options, n_epochs=n).fit(x) for n in (0, 1))
    _, gradients = start.loss_and_gradients(x)
    name = "encoder_filters" if tied else "decoder_filters"
    moved = start.decoder_filters_ - 0.01 / start.patch_energy_ * gradients[name]
    lengths = norms(moved)[:, None, None, None]
    assert np.all(np.abs(lengths - 1) > 1e-6), "nothing to project shows nothing"
    np.testing.assert_allclose(after.decoder_filters_, moved / lengths, rtol=1e-12)


def test_filters_that_were_trained_without_it_are_held_from_the_next_step_on():
    made = layer(n_epochs=15).fit(images()).set_params(normalise_filters=True)
    assert np.any(np.abs(norms(made.decoder_filters_) - 1) > 0.01)
    assert_length_1(made.partial_fit(images()).decoder_filters_)
