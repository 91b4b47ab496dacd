"""A step whose gradients go into the update as they are: the bits of one that is given them.

Of several pieces the update adds them up; of one, it is done where they are summed.
"""

import numpy as np
import pytest

import minisca
from minisca.backends import cupy
from minisca.backends.cupy.runtime import graphs
from minisca.training import objective
from tests.support.backends import EMULATED
from tests.support.emulated_device import Kernel
from tests.support.layers import RULES, assert_same_state, images, learned, refusal, small

pytestmark = [
    pytest.mark.emulated if EMULATED else pytest.mark.gpu,
    pytest.mark.skipif(
        not cupy.is_available(), reason="no CUDA device, and no g++ for the emulator"
    ),
]


def with_gradients_added_up(monkeypatch, fit):
    """What `fit` learns where no step updates by a code, and every kernel is launched anew."""

    def do_step(optimiser, sparsity, x, rates):
        parameters = optimiser.parameters
        loss, gradients = objective.loss_and_gradients(cupy, sparsity, parameters, x)
        optimiser.step(gradients, rates)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr("minisca.training.fit.do_step", do_step)
        patch.setenv(graphs.SWITCH, "0")
        return fit()


#: Images of one channel, of a slice and more than one; 17 of a batch are three pieces.
SHAPES = {"first layer": (17, 1), "second layer": (17, 6), "one piece": (4, 6)}


WHATS = [(rule, "float32") for rule in RULES if rule != "none" and "tied" not in rule]
WHATS += [(rule, "float64") for rule in ("winner-take-all", "lifetime")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("rule", "dtype"), WHATS)
def test_a_step_that_updates_by_its_code_learns_the_same_bits(monkeypatch, rule, shape, dtype):
    """Recorded, replayed and, as the last batch is smaller, launched."""
    batch, channels = SHAPES[shape]
    x = images(2 * batch + 3, channels, height=5, width=4)
    momentum = 0.0 if rule == "top-n" else 0.9
    what = {"batch_size": batch, "dtype": dtype, "momentum": momentum, **RULES[rule]}

    def fit():
        return small(**what, backend="cupy", learning_rate=0.003).fit(x)

    found = fit()
    assert_same_state(found, with_gradients_added_up(monkeypatch, fit))
    assert len(set(found.loss_history_)) == 2


@pytest.mark.skipif(not EMULATED, reason="launches are counted in the emulator")
@pytest.mark.parametrize(
    ("rule", "shape", "update", "sums"),
    [
        ("winner-take-all", "first layer", "sgd_momentum_of_pieces", 0),
        ("tied", "first layer", "sgd_momentum", 1),
        ("winner-take-all", "one piece", "walk_images_and_update", 0),
        ("tied", "one piece", "sgd_momentum", 0),
    ],
)
def test_an_update_by_its_code_needs_no_kernel_more(monkeypatch, rule, shape, update, sums):
    """None that adds up pieces and, of one piece, none that updates."""
    monkeypatch.setenv(graphs.SWITCH, "0")
    batch, channels = SHAPES[shape]
    Kernel.launches.clear()
    x = images(batch, channels, height=5, width=4)
    small(**RULES[rule], backend="cupy", n_epochs=1, batch_size=batch).fit(x)
    assert Kernel.launches["sum_pieces"] == sums
    updates = {name for name in Kernel.launches if name.startswith("sgd_") or "_images_and" in name}
    assert updates == {update}
    assert Kernel.launches[update] == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_an_epoch_that_diverges_in_an_update_by_its_code_is_undone_whole(shape):
    batch, channels = SHAPES[shape]
    x = images(3 * batch, channels, height=5, width=4)
    made = small(backend="cupy", n_epochs=1, batch_size=batch).fit(x)
    before = {name: np.copy(value) for name, value in learned(made).items()}
    made.set_params(learning_rate=1e200)
    refusal(minisca.DivergenceError, made.partial_fit, x)
    for name, value in learned(made).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
