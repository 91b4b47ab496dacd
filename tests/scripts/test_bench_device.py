"""The benchmark of devices where there is none, run on stand-ins: its form, no timings."""

import time
from operator import attrgetter
from types import SimpleNamespace

import benchmark
import numpy as np
import pytest
from bench import cold as bench_cold
from bench import growth, layers, machines, steps, timing
from bench.device import Clock
from bench.first_step import first_step
from bench.peer import import_torch

from minisca.backends import get_backend, has_driver
from tests.support.backends import DEVICES
from tests.support.script_runs import run_script

LAYERS = 5
SMALL = {"batch": 2, "channels": 1, "size": 5, "n_maps": 3, "width": 3}
#: Tasks and caches of the processes that the benchmark would have started.
children = []


class Moment:
    """An event of a device whose work is done when a call returns."""

    def record(self):
        self.at = time.perf_counter()


@pytest.fixture(params=DEVICES)
def scripts(request, monkeypatch):
    """benchmark.py, with a stand-in of the device where it opens one."""

    class StandIn(machines.Device):
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

    def child_in_this_process(script, task, **caches):
        """Where the stand-in is; a layer of its own size would take the simulator minutes."""
        assert script == "bench.first_step"
        children.append((task, caches))
        return first_step(None if task is None else task | SMALL)

    children.clear()
    monkeypatch.setattr(bench_cold, "run_child", child_in_this_process)
    monkeypatch.setattr(benchmark, "open_machine", lambda name: StandIn(get_backend(name)))
    torch = import_torch(1)
    monkeypatch.setattr(benchmark, "peer_on_device", lambda _: (torch, "cpu"))
    return benchmark, request.param


def run(benchmark, monkeypatch, tmp_path, *arguments):
    """The sections that a tiny run writes."""
    path = tmp_path / "figures.json"
    options = ("--quick", "--repetitions", "1", "--output", tmp_path, "--json", path)
    monkeypatch.setattr("sys.argv", ["benchmark.py", *arguments, *map(str, options)])
    assert benchmark.main() is None
    return benchmark.read_sections(path)


def test_every_layer_is_measured_beside_ceilings_and_peers(scripts, monkeypatch, tmp_path, capsys):
    benchmark, backend = scripts
    sections = run(benchmark, monkeypatch, tmp_path, "--backend", backend)
    assert set(sections) == {f"{name} on {backend}" for name in ("steps", "transform", "cold")}
    steps = sections[f"steps on {backend}"]
    assert steps["device"]["name"] == f"a stand-in of {backend}"
    phases = {"encode", "decode and error", "backward", "update"}
    assert len(steps["layers"]) == LAYERS
    for layer in steps["layers"]:
        assert {"minisca", "minisca, step by step", "cublas on patches", "product", "copy"} <= set(
            layer["seconds"]
        )
        assert set(layer["phase_seconds"]) == phases
        measured = layer["seconds"] | layer["phase_seconds"]
        assert all(len(values) == 1 for values in measured.values())
        for name in ("peak_gflops", "copy_bytes_per_second", "floor_seconds"):
            assert layer[name] > 0
        assert layer["memory_bytes"] == 2_000_000
        if layer["agreement"] is not None:  # PyTorch is installed, and was compared with
            for value in layer["agreement"]["relative_differences"].values():
                assert value <= layer["agreement"]["tolerance"]
            assert "pytorch" in layer["seconds"]
    for layer in sections[f"transform on {backend}"]["layers"]:
        assert set(layer["seconds"]) == {"encode_winners", "encode_pooled"}
    printed = capsys.readouterr().out
    for layer in steps["layers"]:
        cold = [task["layer"] for task in sections[f"cold on {backend}"]["layers"]]
        tables = 5 + 2 * (layer["layer"] in cold)  # steps, phases, device, notes, transform; cold
        assert printed.count(layer["layer"]) == tables


def test_the_phases_of_a_step_are_calls_that_can_be_repeated(scripts):
    benchmark, backend = scripts
    layer = layers.Layer("small", "normal", n_maps=3, channels=1, size=5, width=3, batch=2)
    x, parameters = layers.make_images(layer, None), layers.make_parameters(layer)
    machine = benchmark.open_machine(backend)
    machine.hurry()
    step = layers.Step(machine.backend, x, parameters)

    def encoded():
        return tuple(np.asarray(machine.backend.to_host(array)) for array in step.encode())

    values, positions = encoded()
    seconds = timing.take_turns(machine, {"step": step, **step.phases()}, 1)
    assert set(seconds) == {"step", "encode", "decode and error", "backward", "update"}
    # the learning rate is so small that the layer is still the one that it was
    np.testing.assert_array_equal(encoded()[1], positions)
    np.testing.assert_allclose(encoded()[0], values, rtol=1e-4)


def test_training_does_as_many_steps_as_it_counts_on_batches_of_its_images(scripts):
    benchmark, backend = scripts
    layer = layers.Layer("small", "normal", n_maps=3, channels=1, size=5, width=3, batch=2)
    x, parameters = layers.make_images(layer, None), layers.make_parameters(layer)
    machine = benchmark.open_machine(backend)
    machine.hurry()
    step = layers.Step(machine.backend, x, parameters)
    assert steps.steps_a_call(step, machine) == 2
    training = layers.Training(step, 13)
    assert [len(rows) for rows in training.rows] == [2] * 13
    assert len({*np.concatenate(training.rows[:10])}) == 20
    done = []
    training.steps.run = lambda rows, *_, run=training.steps.run: (
        done.append(loss) or loss for loss in run(rows, *_)
    )
    training()
    assert len(done) == 13
    assert all(0 < loss < 1000 for loss in done)
    velocity = machine.backend.to_host(step.optimiser.velocities["decoder_filters"])
    assert np.abs(velocity).max() > 0


def test_first_steps_are_taken_on_the_device_with_caches_empty_and_full(
    scripts, monkeypatch, tmp_path, capsys
):
    benchmark, backend = scripts
    found = run(benchmark, monkeypatch, tmp_path, "cold", "--backend", backend)
    section = found[f"cold on {backend}"]
    assert section["device"]["name"] == f"a stand-in of {backend}"
    assert len(section["layers"]) == 2
    for layer in section["layers"]:
        assert (len(layer["cold"]), len(layer["warm"])) == (1, 2)
        assert layer["median_cold_seconds"] > 0
    steps = [(task, caches) for task, caches in children if task is not None]
    assert {task["backend"] for task, _ in steps} == {backend}
    for cold in range(0, len(steps), 3):  # one with an empty folder, two with what it left
        folders = [set(caches.values()) for _, caches in steps[cold : cold + 3]]
        assert len(folders[0]) == 1
        assert folders[0] == folders[1] == folders[2]
        assert not folders[0] & {*steps[cold - 3][1].values()}
    for _, caches in steps:
        assert set(caches) == {"NUMBA_CACHE_DIR", "CUPY_CACHE_DIR", "CUDA_CACHE_PATH"}
    printed = capsys.readouterr().out
    assert "first step, cold cache: MNIST layer 1" in printed
    for name in ("threads", "classifier", "memory"):
        assert f"\n{name}: " in printed.split("the CPU's own")[1]


def test_growth_has_a_point_for_every_size(scripts, monkeypatch, tmp_path, capsys):
    benchmark, backend = scripts
    found = run(benchmark, monkeypatch, tmp_path, "growth", "--backend", backend)
    axes = found[f"growth on {backend}"]["axes"]
    sizes = {name: tuple(p["at"] for p in axis["points"]) for name, axis in axes.items()}
    assert sizes == growth.TINY
    assert (tmp_path / f"benchmark-growth-on-{backend}.png").exists()
    assert growth.AXES["n_maps"][0] in capsys.readouterr().out


@pytest.mark.parametrize("backend", ["cupy", "numba_cuda"])
def test_without_a_device_nothing_is_measured_and_the_exit_says_so(backend, tmp_path):
    if has_driver():
        pytest.skip("there is a CUDA driver")
    done = run_script("benchmark.py", "--backend", backend, "--output", tmp_path)
    assert done.returncode == 1
    assert f"Nothing was measured: the backend '{backend}'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_clock_of_a_device_takes_the_mean_of_its_calls(scripts, monkeypatch):
    benchmark, backend = scripts
    device, calls = benchmark.open_machine(backend), []
    monkeypatch.setattr(type(device), "milliseconds", lambda *_: 12.0)
    assert device.seconds(lambda: calls.append(0), 3) == pytest.approx(0.004)
    assert len(calls) == 3
    copy, n_bytes = device.copy(4000)
    copy()
    assert n_bytes == 8000


def test_memory_of_a_call_is_what_the_pool_grows_by_from_empty():
    """On CuPy; what the pool held before the call, free or not, is no part of it."""

    class Pool:
        def __init__(self):
            self.used, self.free = 100, 900

        def free_all_blocks(self):
            self.free = 0

        def total_bytes(self):
            return self.used + self.free

    pool = Pool()
    device = machines.CuPyDevice.__new__(machines.CuPyDevice)
    device.cupy = SimpleNamespace(get_default_memory_pool=lambda: pool)

    def call():  # takes 70, 30 of which it gives back to the pool
        pool.used, pool.free = pool.used + 40, pool.free + 30

    assert device.memory(call) == 70


@pytest.mark.parametrize(
    ("package", "names"),
    [
        (
            "cupy",
            "matmul ones empty cuda.Event.record cuda.Event.synchronize cuda.get_elapsed_time "
            "cuda.runtime.getDeviceProperties cuda.runtime.driverGetVersion",
        ),
        ("numba_cuda", "event event_elapsed_time get_current_device current_context"),
    ],
)
def test_a_library_has_the_names_that_its_clock_uses(package, names):
    library = pytest.importorskip(package)
    if package == "numba_cuda":
        from numba import cuda as library
    for name in names.split():
        assert callable(attrgetter(name)(library))


def test_one_command_measures_all_that_needs_a_device_and_notes_what_fails(
    scripts, monkeypatch, tmp_path, capsys
):
    benchmark, backend = scripts
    path = tmp_path / "figures.json"
    measured = []

    def section(name, failing=False):
        def measure(bench, machine):
            measured.append(f"{name} on {machine.name}")
            bench.keep({"layers": ["the first"]})
            if failing:
                raise ValueError("no compiler\nhere")
            return {"layers": ["the first", "the second"]}

        return measure, lambda result: print(f"{name}: {result['layers']}")

    names = ("peaks", "steps", "peers", "kernels", "transform", "cold", "compiled", "mnist")
    for name in names:
        monkeypatch.setitem(benchmark.SECTIONS, name, section(name, name == "peers"))
    monkeypatch.setattr(
        "sys.argv", ["benchmark.py", "device", "--backend", backend, "--json", str(path)]
    )
    assert benchmark.main() == 0
    assert measured == [f"{name} on {backend}" for name in names if name != "mnist"]
    sections = benchmark.read_sections(path)
    assert sections.pop("failed on a device") == {"peers": "ValueError: no compiler"}
    once = {"peaks", "peers", "compiled"}
    columns = {f"{name} on {backend}" for name in ("steps", "transform", "kernels", "cold")}
    assert set(sections) == once | columns
    assert sections["peers"]["layers"] == ["the first"]
    assert sections["peaks"]["layers"] == ["the first", "the second"]
    for found in sections.values():
        assert found["device"]["name"] == f"a stand-in of {backend}"
        assert found["environment"]["versions"]["numba"]
    assert "Not measured: peers: ValueError: no compiler" in capsys.readouterr().err


def test_what_has_not_begun_when_the_time_is_up_is_left_out(scripts, monkeypatch, tmp_path):
    benchmark, backend = scripts
    path = tmp_path / "figures.json"
    monkeypatch.setattr(Clock, "seconds_left", lambda self: -1)
    monkeypatch.setattr(
        "sys.argv", ["benchmark.py", "device", "--backend", backend, "--json", str(path)]
    )
    assert benchmark.main() == 0
    (failed,) = benchmark.read_sections(path).values()
    assert len(failed) == 7
    assert all("the time was up" in why for why in failed.values())
