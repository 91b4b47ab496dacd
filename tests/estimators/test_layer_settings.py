"""How a layer steps: the rate's schedule."""

import numpy as np
import pytest

from minisca.training.optim import SCHEDULES, SGD
from tests.support.layers import assert_same_state, images, layer

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
