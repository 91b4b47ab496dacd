"""What the benchmark makes of what it measured: by calls that take as long as a test says."""

from types import SimpleNamespace

import benchmark
import numpy as np
import pytest
from bench import (
    growth,
    layers,
    machines,
    steps,
    threads,
    timing,
)

LAYER = layers.Layer("made up", "normal", n_maps=3, channels=2, size=5, width=7, batch=4)
FLOPS = 2 * 4 * 3 * 2 * 7**2 * 5**2


class Machine:
    """A machine on which a call takes as many seconds as it says, and which notes the calls."""

    is_device, name, backend, pause_seconds, least_seconds = False, "cpu", None, 0, 0.05

    def __init__(self):
        self.calls = []

    def seconds(self, call, count):
        self.calls.append((call, count))
        return call()

    def memory(self, call):
        return 7_000_000

    def ceilings(self, tiny):
        return {"product": (taking(0.5), 1e9)}


def taking(*seconds):
    """A call that takes these seconds in turn, the last of them from then on."""
    left = list(seconds)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


# Turns ----------------------------------------------------------------------------------------


def test_calls_take_turns_a_slow_one_as_often_as_its_limit():
    machine = Machine()
    calls = {"fast": taking(1), "slow": taking(9)}
    found = timing.take_turns(machine, calls, 4, {"slow": 2})
    assert found == {"fast": [1] * 4, "slow": [9] * 2}
    order = ["fast" if call is calls["fast"] else "slow" for call, _ in machine.calls]
    assert order[-6:] == ["fast", "slow", "fast", "slow", "fast", "fast"]


def test_a_turn_repeats_a_fast_call_for_as_long_as_can_be_measured():
    """The first call compiles, and does not count."""
    machine = Machine()
    timing.take_turns(machine, {"fast": taking(5, 0.004, 0.004, 0.002, 0.004, 0.004)}, 1)
    assert machine.calls[-1][1] == 25  # of 2 ms
    assert timing.median([3, 1, 2]) == 2
    assert timing.median([]) is None
    assert timing.medians({"a": [1, 5, 9]}) == {"a": 5}
    assert [timing.milliseconds(s) for s in (None, 0.01234, 1.2345)] == [None, "12.3", "1234"]
    assert [timing.times(None), timing.times(2.26), timing.times(2.26, 2)] == [
        None,
        "2.3 x",
        "2.26 x",
    ]


# Floors ---------------------------------------------------------------------------------------


def test_the_floor_is_the_convolutions_flops_at_the_rate_of_the_product():
    assert LAYER.flops == FLOPS
    ceilings = {"product": (None, 1e9), "copy": (None, 6e9)}
    seconds = {"product": [0.5, 0.25, 9], "copy": [2.0], "minisca": [3.0, 1.0]}
    found = steps.beside_ceilings(LAYER, ceilings, seconds)
    assert found["peak_gflops"] == 2
    assert found["copy_bytes_per_second"] == 3e9
    assert found["floor_seconds"] == FLOPS / 2e9
    assert found["median_seconds"] == {"product": 0.5, "copy": 2, "minisca": 2}
    assert found["multiple_of_floor"] == {"minisca": 2 / (FLOPS / 2e9)}
    assert found["seconds"] is seconds
    unknown = steps.beside_ceilings(LAYER, {}, {"minisca": [1.0]})
    assert unknown["floor_seconds"] is unknown["peak_gflops"] is None
    assert unknown["multiple_of_floor"] == {"minisca": None}


def test_a_peer_is_slow_where_its_floor_takes_seconds():
    for rate, slow in ((FLOPS / 2.1, True), (FLOPS / 1.9, False)):
        ceilings = {"product": (taking(3), 3 * rate)}
        assert steps.is_slow(LAYER, Machine(), ceilings) == slow
    assert not steps.is_slow(LAYER, Machine(), {})


class Step:
    """A step of 1 second, whose phases take 2, 3, ... of them."""

    def __call__(self):
        return 1

    def phases(self):
        names = ("encode", "decode and error", "backward", "update")
        return {name: taking(n) for n, name in enumerate(names, 2)}


def test_a_steps_phases_stand_beside_it_and_the_floor_in_the_table(capsys):
    bench = SimpleNamespace(torch=None, tiny=True, repetitions=2)
    found = steps.measure_step(LAYER, Step(), bench, Machine())
    assert found["seconds"] == {"product": [0.5] * 2, "minisca": [1] * 2}
    assert list(found["phase_seconds"].values()) == [[n] * 2 for n in range(2, 6)]
    found["median_seconds"] |= {"pytorch": 12, "pytorch best": 4, "pytorch best compiled": 5}
    found["multiple_of_floor"] |= {"pytorch": 7, "pytorch best": 2, "pytorch best compiled": 3}
    made_of = {"ways": {"encode": "dense"}}
    found["best_made_of"] = {"pytorch best": made_of, "pytorch best compiled": made_of}
    steps.report_steps({"layers": [found]})
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell] for line in lines]
    floor = FLOPS / 2e9
    assert cells[2] == [
        *("made up", f"{1e3 * floor:.3g}", "1000", f"{1 / floor:.2f} x", "12000"),
        *("7.0 x", "-", "12.0 x", "4000", "2.00 x", "4.00 x"),
    ]
    assert cells[6] == ["made up", "2000", "3000", "4000", "5000"]


def test_the_ratio_is_that_of_transform_to_the_steps_encoder():
    step = SimpleNamespace(encode=lambda *pool: 3 if pool == (5, 3) else 2)
    bench = SimpleNamespace(
        each_layer=lambda _, measure: {"layers": [measure(LAYER, step)]}, repetitions=2
    )
    (found,) = steps.measure_transform(bench, Machine())["layers"]
    assert found["ratio"] == 1.5
    assert found["median_seconds"] == {"encode_winners": 2, "encode_pooled": 3}


def test_two_threads_gain_what_one_takes_over_what_they_take(monkeypatch):
    used = []
    numba = SimpleNamespace(set_num_threads=used.append)
    monkeypatch.setattr(threads, "numba", numba)
    step = lambda: None  # noqa: E731
    monkeypatch.setattr(
        threads,
        "take_turns",
        lambda machine, calls, *_, **__: {n: [call() or 6 / used[-1]] for n, call in calls.items()},
    )
    bench = SimpleNamespace(
        each_layer=lambda _, measure: {"layers": [measure(LAYER, step)]}, repetitions=1, threads=4
    )
    found = threads.measure_threads(bench, Machine())
    assert found["layers"][0]["speed_up"] == 2
    assert found["threads"] == 2
    assert used == [1, 2, 4]  # and as many as there were


@pytest.mark.parametrize("tiny", [False, True])
def test_a_product_of_matrices_counts_two_flops_a_term_and_a_copy_what_it_reads_and_writes(tiny):
    backend = SimpleNamespace(empty=lambda shape, dtype: None, copy=lambda array: None)
    sizes = []
    for kind, side in ((machines.Machine, 2048), (machines.Device, 8192)):
        machine = kind.__new__(kind)
        machine.backend, machine.product = backend, lambda *sides: sizes.append(sides) or "call"
        found = machine.ceilings(tiny)
        side = 128 if tiny else side
        assert found.pop("product") == ("call", 2 * side**3)
        assert sizes.pop() == (side,) * 3
        copied = [amount for _, amount in found.values()]
        assert copied == ([2 * (1 << 16 if tiny else 1 << 30)] if machine.is_device else [])


# Growth ---------------------------------------------------------------------------------------


def test_a_slope_is_that_of_an_images_time_over_the_larger_half():
    """Times of n to the power 0 up to 4, of 2 beyond it; batches and images grow at will."""
    at = [1, 2, 4, 8, 16, 32]
    seconds = [1, 1, 1, 4, 16, 64]
    for batch in ([1] * 6, [1, 7, 2, 9, 3, 5]):
        points = [
            {"at": n, "batch": b, "flops": n * b, "median_seconds": {"minisca": t * b}}
            for n, t, b in zip(at, seconds, batch, strict=True)
        ]
        found = growth._straightness(points, "size")
        assert found["slope_of_larger_half"] == pytest.approx(2)
        assert found["slope_of_floor"] == 2
        assert found["worst_step"] == pytest.approx(2)  # four times the time, twice the work
        assert found["worst_step_between"] == [4, 8]


def test_the_peer_is_left_out_where_its_step_would_take_too_long(monkeypatch):
    monkeypatch.setattr(growth, "PeerStep", lambda *_: taking(1))
    monkeypatch.setattr(growth, "agreement_with", lambda *_: None)
    monkeypatch.setattr(growth, "Step", lambda *_: taking(1))
    bench = SimpleNamespace(torch=1, torch_device="cpu", tiny=True, repetitions=5)
    for rate, timed in ((None, 5), (0.9 / FLOPS, 5), (4.9 / FLOPS, 3), (5.1 / FLOPS, None)):
        found = growth._measure_point(LAYER, bench, Machine(), rate)
        peer = found["seconds"].get("pytorch")
        assert (peer and len(peer)) == timed
        assert len(found["seconds"]["minisca"]) == 5


# The file -------------------------------------------------------------------------------------


def test_a_section_takes_the_place_of_its_own_earlier_one_alone(tmp_path):
    path = tmp_path / "b.json"
    for name, value in (("steps", 1), ("cold", 2), ("steps", 3)):
        benchmark.write_section(path, name, {"value": value})
    assert benchmark.read_sections(path) == {"steps": {"value": 3}, "cold": {"value": 2}}


def test_images_of_the_benchmark_are_what_their_kind_says():
    sparse = layers.make_images(layers.replace(LAYER, images="sparse", batch=200), None)
    assert sparse.min() == 0
    assert np.mean(sparse == 0) == pytest.approx(0.4, abs=0.02)
    normal = layers.make_images(layers.replace(LAYER, batch=200), None)
    assert (normal.mean(), normal.std()) == pytest.approx((0, 1), abs=0.02)
