"""The peers of a device: the best step in PyTorch computes what minisca does, whatever its ways."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from bench import layers, peer_calls, peers
from bench.children import script_environment
from bench.machines import Machine
from bench.peer import ROUNDING_TF32, agreement_with, check_agreement
from bench.peer_best import BestPeerStep
from bench.peer_operations import COMPILED, DENSE, GATHERED, LAST, WAYS, Operations

from minisca.backends import get_backend

torch = pytest.importorskip("torch", reason="PyTorch is not installed: there is no peer")

LAYER = next(layer for layer in layers.LAYERS if layer.images == "sparse").tiny()


#: Every way of every operation, some at a time: what one returns is all that the others see.
TOGETHER = [
    [ways[n % len(ways)] for ways in WAYS.values()] for n in range(max(map(len, WAYS.values())))
]


@pytest.fixture
def not_compiled(monkeypatch):
    """A compiler that returns what it is given: the real one takes longer than all else."""
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)


@pytest.fixture
def step():
    x = layers.make_images(LAYER, None)
    return layers.Step(get_backend("cpu"), x, layers.make_parameters(LAYER))


@pytest.mark.parametrize("ways", TOGETHER, ids=", ".join)
def test_every_way_of_an_operation_computes_the_same_step(ways, step, not_compiled, monkeypatch):
    of = Operations(torch, dict(zip(WAYS, ways, strict=True)))
    monkeypatch.setattr(BestPeerStep, "measure_ways", lambda *_: {})
    monkeypatch.setattr(BestPeerStep, "candidates", lambda *_: [of])
    peer = BestPeerStep(torch, step.x, layers.make_parameters(LAYER))
    assert peer.made_of["ways"] == dict(zip(WAYS, ways, strict=True))
    found = check_agreement(step, peer)
    assert max(found["relative_differences"].values()) <= found["tolerance"] < 1e-4
    assert max(peer.differences_of_a_run().values()) < 1e-5


def test_a_best_step_that_computes_something_else_is_found(step, not_compiled):
    parameters = layers.make_parameters(LAYER)
    others = parameters | {"decoder_filters": parameters["decoder_filters"] * 1.0005}
    peer = BestPeerStep(torch, step.x, others)
    assert "differ" in agreement_with(step, peer)["disagreement"]
    # cut to 10 bits, factors explain as much
    assert "relative_differences" in agreement_with(step, peer, ROUNDING_TF32)


def test_every_way_is_measured_and_the_gathered_ones_once(step, not_compiled):
    peer = BestPeerStep(torch, step.x, layers.make_parameters(LAYER))
    seconds = peer.made_of["seconds"]
    assert {name: tuple(found) for name, found in seconds.items()} == WAYS
    known = {
        name: found | ({GATHERED: -1.0} if GATHERED in found else {})
        for name, found in seconds.items()
    }
    again = BestPeerStep(torch, step.x, layers.make_parameters(LAYER), known=known)
    assert again.made_of["seconds"] == known
    assert len(again.candidates(known)) == 1
    again.device = "cuda"  # there a common layout may spare launches
    fastest, *same = again.candidates(known)
    gathered = {name for name, way in fastest.ways.items() if way == GATHERED}
    assert gathered == {name for name, ways in WAYS.items() if GATHERED in ways}
    assert [set(operations.ways.values()) for operations in same] == [{DENSE}, {LAST}]


def test_every_step_and_precision_is_timed_and_one_that_fails_is_noted(step, bench, not_compiled):
    machine = Machine(get_backend("cpu"))
    machine.hurry()
    found = peers.measure_layer(LAYER, step, bench, machine, peers._steps, ["float32", "TF32"])
    timed = {f"{name}, {p}" for name in ("plain", "best") for p in ("float32", "TF32")}
    assert set(found["median_seconds"]) == timed
    assert all(len(values) == 2 for values in found["seconds"].values())
    for name, agreement in found["agreement"].items():
        if name in timed:
            assert max(agreement["relative_differences"].values()) <= agreement["tolerance"]
            assert max(agreement["as_timed"].values()) < 1e-5
        else:
            why = "RuntimeError: PyTorch cannot capture its step: not on the CPU"
            assert agreement == {"failed": why}
    assert len(found["agreement"]) == 6
    assert set(found["best_made_of"]) == {"float32", "TF32"}
    assert set(bench.best_made_of) == {(LAYER.name, "float32"), (LAYER.name, "TF32")}
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_compiled_step_is_as_the_plain_one_and_none_is_begun_when_time_is_short(
    step, bench, not_compiled
):
    machine = Machine(get_backend("cpu"))
    machine.hurry()
    of = LAYER, step, bench, machine, peers._compiled_steps, ["TF32"]
    names = {"compiled, TF32", "best compiled, TF32"}
    assert set(peers.measure_layer(*of)["median_seconds"]) == names
    bench.clock.seconds_left = lambda: 1
    found = peers.measure_layer(*of)
    failed = {"failed": "TimeoutError: the time was up"}
    assert found["agreement"] == {name: failed for name in names}
    assert found["median_seconds"] == {}


def test_the_best_step_on_the_cpu_is_taken_as_it_is_and_compiled(step, bench, not_compiled):
    found, agreements = peers.best_on_cpu(bench, step)
    assert [*found] == [*agreements] == ["pytorch best", "pytorch best compiled"]
    for name, agreement in agreements.items():
        assert max(agreement["relative_differences"].values()) <= agreement["tolerance"]
        assert max(agreement["as_timed"].values()) < 1e-5
        assert COMPILED in found[name].made_of["seconds"]["slopes"]


def test_a_peer_that_cannot_be_compiled_says_so_and_the_other_stays(step, bench, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", fails)
    found, agreements = peers.best_on_cpu(bench, step)
    assert [*found] == ["pytorch best"]
    assert agreements["pytorch best compiled"] == {"failed": "RuntimeError: no C++ compiler"}


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(peer_calls, "TURNS", 1)
    monkeypatch.setattr(peer_calls, "TURN_SECONDS", 0)
    clock = SimpleNamespace(seconds_left=lambda: 1000)
    found = SimpleNamespace(torch=torch, torch_device="cpu", repetitions=2, clock=clock)
    found.best_made_of, found.tiny = {}, False
    return found


def test_the_kernel_in_triton_multiplies_filters_and_patches():
    """By Triton's own interpreter, in a process that is told to use it."""
    pytest.importorskip("triton", reason="Triton is not installed")
    text = """if True:
        import torch
        from bench.peer_gathered import products
        patches, rows = torch.randn(3, 16, 1500), torch.randn(5, 1500)
        positions = torch.randint(16, (3, 5))
        wanted = (patches[torch.arange(3)[:, None], positions] * rows).sum(2)
        assert torch.allclose(products(patches, positions, rows), wanted, atol=1e-3)
    """
    environment = script_environment() | {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", text], env=environment, check=True)
