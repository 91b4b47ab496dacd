"""The benchmark of devices where there is none, run on stand-ins: its form, no timings."""

import time

import numpy as np
import pytest
from conftest import DEVICES
from script_runs import import_script, run_script

from minisca.backends import get_backend, has_driver

LAYERS = 5


class Moment:
    """An event of a device whose work is done when a call returns."""

    def record(self):
        self.at = time.perf_counter()


@pytest.fixture(params=DEVICES)
def scripts(request, monkeypatch):
    """benchmark.py, with a stand-in of the device where it opens one."""
    benchmark = import_script(monkeypatch, "benchmark")
    bench_device = import_script(monkeypatch, "bench_device")

    class StandIn(bench_device.Device):
        event = Moment

        def milliseconds(self, start, end):
            return 1e3 * (end.at - start.at)

        def product(self, rows, depth, columns):
            a, b = np.ones((rows, depth), np.float32), np.ones((depth, columns), np.float32)
            return lambda: a @ b

        def memory(self, call):
            return 2_000_000 if call() is None else None

        def description(self):
            return {"name": f"a stand-in of {self.name}"}

    monkeypatch.setattr(bench_device, "LEAST_SECONDS", 0)
    monkeypatch.setattr(benchmark, "open_device", lambda name: StandIn(get_backend(name)))
    torch = benchmark.import_torch(1)
    monkeypatch.setattr(benchmark, "peer_on_device", lambda _: (torch, "cpu"))
    return benchmark, request.param


def run(benchmark, monkeypatch, tmp_path, *arguments):
    """The sections that a tiny run writes."""
    path = tmp_path / "figures.json"
    options = ("--scale", "tiny", "--repetitions", "1", "--output", tmp_path, "--json", path)
    monkeypatch.setattr("sys.argv", ["benchmark.py", *arguments, *map(str, options)])
    assert benchmark.main() is None
    return benchmark.read_sections(path)


def test_every_layer_is_measured_beside_ceilings_and_peers(scripts, monkeypatch, tmp_path, capsys):
    benchmark, backend = scripts
    sections = run(benchmark, monkeypatch, tmp_path, "--backend", backend)
    assert set(sections) == {f"steps on {backend}", f"transform on {backend}"}
    steps = sections[f"steps on {backend}"]
    assert steps["device"]["name"] == f"a stand-in of {backend}"
    assert steps["ceilings"]["bytes_per_second"] > 0
    assert steps["ceilings"]["flops_per_second"] > 0
    phases = {"encode", "decode", "error", "backward", "update"}
    assert len(steps["layers"]) == LAYERS
    for layer in steps["layers"]:
        assert {"minisca", "cublas on patches"} | phases <= set(layer["seconds"])
        assert all(len(values) == 1 for values in layer["seconds"].values())
        assert layer["floor_seconds"] > 0
        assert layer["memory_bytes"] == 2_000_000
        if layer["agreement"] is not None:  # PyTorch is installed, and was compared with
            for value in layer["agreement"]["relative_differences"].values():
                assert value <= layer["agreement"]["tolerance"]
            assert "pytorch" in layer["seconds"]
    for layer in sections[f"transform on {backend}"]["layers"]:
        assert set(layer["seconds"]) == {"encode_winners", "encode_pooled"}
    printed = capsys.readouterr().out
    for layer in steps["layers"]:
        assert printed.count(layer["layer"]) == 4  # steps, phases, notes, transform


def test_the_phases_of_a_step_are_calls_that_can_be_repeated(scripts, monkeypatch):
    benchmark, backend = scripts
    layers = import_script(monkeypatch, "bench_device_layers")
    timing = import_script(monkeypatch, "bench_device")
    layer = layers.BASE.tiny()
    layer = layers.replace(layer, batch=2, n_maps=3, size=5, width=3)
    x, parameters = layers.make_images(layer, None), layers.make_parameters(layer)
    step = layers.DeviceStep(benchmark.open_device(backend), x, parameters)
    phases = step.phases()
    values, positions = step.on_host().encode()
    seconds = timing.take_turns_on(step.device, {"step": step, **phases}, 1)
    assert set(seconds) == {"step", "encode", "decode", "error", "backward", "update"}
    # the learning rate is so small that the layer is still the one that it was
    np.testing.assert_array_equal(step.on_host().encode()[1], positions)
    np.testing.assert_allclose(step.on_host().encode()[0], values, rtol=1e-4)


def test_growth_has_a_point_for_every_size(scripts, monkeypatch, tmp_path, capsys):
    benchmark, backend = scripts
    growth = import_script(monkeypatch, "bench_growth")
    found = run(benchmark, monkeypatch, tmp_path, "growth", "--backend", backend)
    axes = found[f"growth on {backend}"]["axes"]
    assert {name: tuple(p["at"] for p in points) for name, points in axes.items()} == growth.TINY
    assert growth.AXES["n_maps"][0] in capsys.readouterr().out


@pytest.mark.parametrize("backend", ["cupy", "numba_cuda"])
def test_without_a_device_nothing_is_measured_and_the_exit_says_so(backend, tmp_path):
    if has_driver():
        pytest.skip("there is a CUDA driver")
    done = run_script("benchmark.py", "--backend", backend, "--output", tmp_path)
    assert done.returncode == 1
    assert f"Nothing was measured: the backend '{backend}'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backend", "cuda"), "--backend must be cpu, or one or both of cupy,numba_cuda"),
        (("--backend", "cpu,cupy"), "--backend must be cpu, or one or both of"),
        (("--backend", "cupy", "cold"), "section is 'cold'; it must be one of steps"),
    ],
)
def test_what_no_device_can_measure_is_refused(arguments, message):
    done = run_script("benchmark.py", *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_clock_of_a_device_takes_the_mean_of_its_calls(scripts, monkeypatch):
    benchmark, backend = scripts
    device, calls = benchmark.open_device(backend), []
    monkeypatch.setattr(type(device), "milliseconds", lambda *_: 12.0)
    assert device.seconds(lambda: calls.append(0), 3) == pytest.approx(0.004)
    assert len(calls) == 3
    copy, n_bytes = device.copy(4000)
    copy()
    assert n_bytes == 8000


def test_cupy_has_the_names_that_the_clock_uses():
    cupy = pytest.importorskip("cupy")
    for name in ("matmul", "ones", "empty"):
        assert callable(getattr(cupy, name))
    assert {"record", "synchronize"} <= set(dir(cupy.cuda.Event))
    assert callable(cupy.cuda.get_elapsed_time)
    assert callable(cupy.cuda.runtime.getDeviceProperties)
    assert callable(cupy.cuda.runtime.driverGetVersion)


def test_numba_has_the_names_that_the_clock_uses():
    pytest.importorskip("numba_cuda")
    from numba import cuda

    for name in ("event", "event_elapsed_time", "get_current_device", "current_context"):
        assert callable(getattr(cuda, name))
