"""Steps that are recorded as a graph and replayed: the bits of steps launched kernel by kernel.

Where there is no device the stand-in records launches with the addresses of their arrays alone. It
refuses to replay on memory that was given back, and finds nothing useful in the graph's own.
"""

import re

import numpy as np
import pytest

import minisca
from minisca.backends import cupy
from minisca.backends.cupy.kernels import survivors
from minisca.backends.cupy.runtime import graphs, machine
from minisca.progress import _Silent
from minisca.training import fit
from minisca.training.fit import initial_state, train
from tests.support.backends import EMULATED
from tests.support.layers import RULES, assert_same_state, few, learned, refusal, small

pytestmark = [
    pytest.mark.emulated if EMULATED else pytest.mark.gpu,
    pytest.mark.skipif(
        not cupy.is_available(), reason="no CUDA device, and no g++ for the emulator"
    ),
]


@pytest.fixture
def counts(monkeypatch):
    """How many graphs were recorded, and how often one was replayed."""
    found = {"recorded": 0, "replayed": 0}

    class Counted(graphs.Graph):
        def __init__(self, *args):
            super().__init__(*args)
            found["recorded"] += 1

        def __call__(self):
            super().__call__()
            found["replayed"] += 1

    monkeypatch.setattr(graphs, "Graph", Counted)
    return found


def on_device(**settings):
    return small(**{"backend": "cupy", "dtype": "float32"} | settings)


@pytest.fixture
def kernel_by_kernel(monkeypatch):
    """Calls of a function, and the same with no graph; both learn the same, and it is returned."""

    def compared(learn):
        monkeypatch.setenv(graphs.SWITCH, "0")
        right = learn()
        monkeypatch.setenv(graphs.SWITCH, "1")
        found = learn()
        for one, other in zip(found, right, strict=True):
            assert_same_state(one, other)
        return found

    return compared


@pytest.mark.parametrize("rule", RULES)
def test_a_step_is_recorded_once_and_replayed_with_the_same_bits(rule, kernel_by_kernel, counts):
    """19 images in batches of 4: the first step and the last, of 3 images, are no replays."""
    kernel_by_kernel(lambda: [on_device(**RULES[rule], n_epochs=3).fit(few(19))])
    assert counts == {"recorded": 1, "replayed": 3 + 4 + 4}


def test_images_in_another_unit_and_an_only_batch_are_learned_too(kernel_by_kernel, counts):
    tiny = few(8) * np.float32(2) ** -60
    kernel_by_kernel(lambda: [on_device().fit(tiny), on_device(batch_size=9).fit(few(8))])
    assert counts["recorded"] == 1, "one batch an epoch is nothing to replay"


def test_other_batches_rates_and_parameters_are_recorded_anew(kernel_by_kernel, counts):
    def learn():
        made = on_device(n_epochs=1).fit(few(12))
        made.partial_fit(few(12, seed=1))
        made.set_params(batch_size=3, learning_rate=0.05).partial_fit(few(12))
        made.encoder_bias_ = np.full(3, 0.25)
        made.decoder_filters_ = 2 * made.decoder_filters_
        return [made.partial_fit(few(9))]

    kernel_by_kernel(learn)
    assert counts == {"recorded": 4, "replayed": 2 + 2 + 3 + 2}


def test_two_layers_that_learn_in_turns_do_not_meet(kernel_by_kernel, counts):
    """Nor if what is kept from call to call is made anew between their epochs."""

    def learn():
        layers = [on_device(n_epochs=3), on_device(n_epochs=3, n_maps=5, random_state=1)]
        states = [train(initial_state(layer, few(12)), layer, few(12)) for layer in layers]
        for _ in range(3):
            for layer, state in zip(layers, states, strict=True):
                layer.state_ = next(state)
                survivors._one_slot_a_map.cache_clear()
        return layers

    kernel_by_kernel(learn)
    assert counts == {"recorded": 2, "replayed": 2 * (2 + 3 + 3)}


# The steps alone: a parameter (2,) goes down by what the rows and rates say -----------------------


class Descent:
    """v <- v / 2 - rate * the first item of the batch; the loss: half the squares of its items."""

    def __init__(self, change=lambda made: None):
        there = np.ones(2), np.zeros(2), np.arange(12.0).reshape(6, 1, 1, 2), np.zeros(1, np.int64)
        self.parameter, self.velocity, self.items, self.first = map(cupy.to_device, there)
        self.steps, self.change, self.started = cupy.make_steps(), change, 0
        self.step = self._step  # one object, by which what was recorded is known again

    def _step(self, x, rates):
        self.change(self)
        gradient = cupy.gather(x, self.first).reshape(2)
        cupy.sgd_momentum_([self.parameter], [gradient], [self.velocity], rates, 0.5)
        return cupy.residual(x, cupy.scaled(x, 0.0))[0], 2

    def run(self, order, rates):
        held = self.parameter, self.velocity, self.first
        order, rates = [np.array(rows, np.int64) for rows in order], np.array(rates)[:, None]
        return self.steps.run(self.step, self.items, order, rates, held, self._count)

    def _count(self):
        self.started += 1


def by_hand(order, rates, parameter=(1.0, 1.0), velocity=(0.0, 0.0)):
    items = np.arange(12.0).reshape(6, 2)
    parameter, velocity, losses = np.array(parameter), np.array(velocity), []
    for rows, rate in zip(order, rates, strict=True):
        velocity = 0.5 * velocity - rate * items[rows[0]]
        parameter = parameter + velocity
        losses.append(np.sum(items[rows] ** 2) / 2)
    return parameter, velocity, losses


ORDERS = [[0, 1], [2, 3], [4, 5]], [[3, 5], [0, 2], [1, 4]], [[1], [5], [2]], [[5, 0], [1, 2], [3]]
RATES = [0.5, 0.25, 0.125]


def test_rows_rates_and_losses_are_those_of_every_step(counts):
    """The second epoch has other rates and rows and the same graph; then a batch is of one row, and
    the graph is another; then the last batch has fewer rows, and other parameters are trained."""
    made, state = Descent(), ([1.0, 1.0], [0.0, 0.0])
    for order, rates, recorded in zip(
        ORDERS, (RATES, RATES[::-1], RATES, RATES), (1, 1, 2, 3), strict=True
    ):
        if recorded == 3:
            made.parameter, state = cupy.to_device(np.array([3.0, 4.0])), ([3.0, 4.0], state[1])
        losses = made.run(order, rates)
        *state, right = by_hand(order, rates, *state)
        np.testing.assert_array_equal(losses, right)
        for array, expected in zip((made.parameter, made.velocity), state, strict=True):
            np.testing.assert_array_equal(cupy.to_host(array), expected)
        assert counts["recorded"] == recorded
    assert made.started == 12


# What goes wrong ----------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_found_in_its_epoch_and_batch():
    """The learning rate is so large that the second batch's loss is none; nothing is learned."""
    settings = {"learning_rate": 1e30, "warmup_steps": 0, "dtype": "float32"}
    said = [
        refusal(minisca.DivergenceError, small(backend=backend, **settings).fit, few(12))
        for backend in ("cupy", "cpu")
    ]
    there, here = (re.sub("(nan|inf) in", "- in", each) for each in said)
    assert there == here
    assert "epoch 1, batch 2" in here


def test_an_epoch_that_is_interrupted_between_replays_leaves_no_trace(monkeypatch):
    made = on_device(n_epochs=1).fit(few(12))
    before = {name: np.copy(value) for name, value in learned(made).items()}

    class Bar(_Silent):
        n = 0

        def update(self, n=1):
            self.n += 1
            if self.n == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fit, "progress", lambda *_, **__: Bar(None))
        with pytest.raises(KeyboardInterrupt):
            made.partial_fit(few(12))
    for name, value in learned(made).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    other = on_device(n_epochs=1).fit(few(12))
    assert_same_state(made.partial_fit(few(12)), other.partial_fit(few(12)))


def test_what_cannot_be_recorded_says_why_and_the_next_can(counts):
    def refuse(made):
        made.met = getattr(made, "met", 0) + 1
        if made.met == 2:  # the first is no recording
            raise MemoryError("there is no room")

    made = Descent(refuse)
    with pytest.raises(MemoryError, match="there is no room"):
        made.run(ORDERS[0], RATES)
    assert machine.watch.tell is None
    made.change = lambda _: None
    made.run(ORDERS[0], RATES)
    assert counts == {"recorded": 1, "replayed": 2}


@pytest.mark.parametrize("bad", ["", "yes", "2"])
def test_the_switch_is_0_or_1(bad, monkeypatch):
    monkeypatch.setenv(graphs.SWITCH, bad)
    with pytest.raises(ValueError, match=f"MINISCA_CUDA_GRAPH is {bad!r}; it must be 0 or 1"):
        on_device().fit(few())


# The stand-in ---------------------------------------------------------------------------------


@pytest.mark.skipif(not EMULATED, reason="of the stand-in")
def test_a_replay_on_memory_that_was_given_back_is_found():
    """As there would be, did a graph not hold what its launches were given."""
    lent = [cupy.to_device(np.ones(2))]
    made = Descent(lambda made: cupy.add_(made.velocity, lent[0]))
    made.run(ORDERS[0], RATES)
    lent.clear()
    made.run(ORDERS[0], RATES)  # the graph has it still
    made.steps._replay._held.clear()
    with pytest.raises(AssertionError, match="memory that was given back"):
        made.run(ORDERS[0], RATES)


@pytest.mark.skipif(not EMULATED, reason="of the stand-in")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda made: cupy.to_host(made.velocity), "the host would wait"),
        (lambda made: cupy.add_(made.velocity, np.ones(2)), "would be read once, and never again"),
    ],
)
def test_a_host_that_waits_or_brings_numbers_while_a_step_is_recorded_is_found(change, why):
    with pytest.raises(AssertionError, match=why):
        Descent(change).run(ORDERS[0], RATES)
