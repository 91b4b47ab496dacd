"""A device's run of the benchmark: shares of its time, and what fails costs no more than itself."""

import json
from types import SimpleNamespace

import benchmark
import pytest
from bench import device as device_run
from bench import run as runs
from bench.device import Clock, plan

from minisca.backends import has_driver
from tests.support.script_runs import run_script


def test_every_section_has_its_share_of_the_time_that_is_left(monkeypatch):
    columns = [SimpleNamespace(name=name) for name in ("cupy", "numba_cuda")]
    found = plan(["steps", "transform", "peers"], columns)
    assert [(section, column.name) for section, column, _ in found] == [
        *(("steps", "cupy"), ("peers", "cupy"), ("steps", "numba_cuda")),
        *(("transform", "cupy"), ("transform", "numba_cuda")),
    ]
    assert [share for *_, share in found] == [8 / 28, 10 / 20, 6 / 10, 2 / 4, 1]
    now = [100.0]
    monkeypatch.setattr(device_run.time, "monotonic", lambda: now[0])
    clock = Clock(2)
    clock.begin(0.25)
    assert clock.seconds_left() == 30
    now[0] = 131
    with pytest.raises(TimeoutError, match="the time was up"):
        clock.check()
    clock.begin(0.5, least=80)
    assert clock.seconds_left() == 44.5
    with pytest.raises(TimeoutError, match="the time was up"):
        clock.begin(0.5, least=90)


def test_without_a_device_its_run_says_so_of_every_column(tmp_path):
    if has_driver():
        pytest.skip("there is a CUDA driver")
    done = run_script("benchmark.py", "device", "--output", tmp_path)
    assert done.returncode == 1
    (failed,) = json.loads((tmp_path / "benchmark.json").read_text())["sections"].values()
    assert set(failed) == {"cupy", "numba_cuda"}


def test_a_layer_that_fails_costs_a_device_run_that_layer_alone(monkeypatch):
    bench = benchmark.Bench(benchmark.parse_arguments(["device", "--quick", "--no-peer"]))
    bench.section = "steps on cupy"
    first, *others = bench.layers()

    def measure(layer, step):
        if layer == first:
            raise MemoryError("too large")
        return layer.name

    monkeypatch.setattr(runs, "make_images", lambda *_: None)
    monkeypatch.setattr(runs, "Step", lambda *_: None)
    machine = SimpleNamespace(backend=None)
    found = bench.each_layer(machine, measure)
    assert found == {"layers": [layer.name for layer in others]}
    assert bench.failed == {f"steps on cupy, {first.name}": "MemoryError: too large"}
    bench.failed = None
    with pytest.raises(MemoryError):
        bench.each_layer(machine, measure)
