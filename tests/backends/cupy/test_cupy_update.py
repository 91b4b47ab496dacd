"""A step whose update adds the pieces' gradients up itself: the bits of one whose gradients are."""

import numpy as np
import pytest

import minisca
from minisca.backends import cupy
from minisca.backends.cupy.kernels import patches, slices
from minisca.backends.cupy.runtime import graphs
from minisca.training import objective
from tests.support.backends import EMULATED
from tests.support.emulated_device import Kernel
from tests.support.layers import RULES, assert_same_state, few, images, refusal, small

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
    ("rule", "update", "sums"),
    [("winner-take-all", "sgd_momentum_of_pieces", 0), ("tied", "sgd_momentum", 1)],
)
def test_nothing_adds_the_pieces_up_before_the_update(monkeypatch, rule, update, sums):
    monkeypatch.setenv(graphs.SWITCH, "0")
    Kernel.launches.clear()
    small(**RULES[rule], backend="cupy", n_epochs=1, batch_size=17).fit(few(17))
    assert patches.make_cut(slices.make_layout((17, 1, 5, 4), 3, "float64"), 17, 3).of_piece < 17
    assert Kernel.launches["sum_pieces"] == sums
    assert Kernel.launches[update] == 1


def test_an_epoch_that_diverges_in_an_update_by_its_code_is_undone_whole():
    made = small(backend="cupy", n_epochs=1).fit(few(12))
    before, filters = made.loss_history_.copy(), np.copy(made.encoder_filters_)
    made.set_params(learning_rate=1e200)
    refusal(minisca.DivergenceError, made.partial_fit, few(12))
    np.testing.assert_array_equal(made.loss_history_, before)
    np.testing.assert_array_equal(made.encoder_filters_, filters)
