"""What is made of the profiler's table and of a row's records: by stand-ins of both commands."""

import csv
import io
import json
import stat
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from bench import end_to_end, kernels, peaks
from bench.layers import LAYERS
from bench.machines import Machine, random_matrices
from bench.one_step import MARK

from minisca.backends import get_backend

COLUMNS = ["ID", "Kernel Name", "Block Size", "Grid Size"]
UNITS = {
    "gpu__time_duration.sum": ("us", "12.5"),
    "launch__registers_per_thread": ("register/thread", "111"),
    "launch__shared_mem_per_block_static": ("byte/block", "512"),
    "launch__shared_mem_per_block_dynamic": ("Kbyte/block", "8.5"),
    "smsp__inst_executed.sum": ("inst", "1,234,567"),
    "dram__bytes_read.sum": ("Mbyte", "1.5"),
    "dram__bytes_write.sum": ("byte", "64"),
}


def table(*names):
    """What the profiler says of kernels of these names."""
    metrics = [metric for metrics in kernels.METRICS.values() for metric in metrics]
    told = {metric: UNITS.get(metric, ("%", "50.25")) for metric in metrics}
    text = io.StringIO()
    rows = csv.writer(text, quoting=csv.QUOTE_ALL)
    rows.writerow([*COLUMNS, *told])
    rows.writerow(["", "", "", "", *(unit for unit, _ in told.values())])
    for n, name in enumerate(names):
        row = [n, f"{name}(float *, int)", "(256, 1, 1)", "(10, 2, 1)"]
        rows.writerow([*row, *(value for _, value in told.values())])
    return f"==PROF== Connected\n{text.getvalue()}"


def test_a_kernels_figures_are_in_plain_units():
    (kernel,) = kernels.read_profile(table("decode").splitlines())
    assert kernel == {
        **{"name": "decode", "grid": [10, 2, 1], "block": [256, 1, 1], "registers": 111},
        **{"seconds": pytest.approx(12.5e-6), "shared_bytes": 9012, "instructions": 1_234_567},
        **{"dram_bytes": 1_500_064, "sm_percent": 50.25, "memory_percent": 50.25},
        **{"fma_percent": 50.25, "tensor_percent": 50.25, "warps_percent": 50.25},
    }
    assert kernels.read_profile(["==ERROR== no permission"]) == []


@pytest.fixture
def profiler(monkeypatch, tmp_path):
    """Put a program in the profiler's place that writes this down; returns what it was told."""

    def put(text, code=0):
        program, told = tmp_path / "ncu", tmp_path / "told.json"
        (tmp_path / "table").write_text(text)
        program.write_text(f"""#!{sys.executable}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
(here / "told.json").write_text(json.dumps(sys.argv))
log = sys.argv[sys.argv.index("--log-file") + 1]
pathlib.Path(log).write_text((here / "table").read_text())
sys.exit({code})
""")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))
        return told

    return put


BENCH = SimpleNamespace(tiny=True, data_dir=None, layers=lambda: LAYERS[:2])
BENCH.images = lambda layer: np.zeros((layer.batch, 1, 2, 2), np.float32)
BENCH.clock = SimpleNamespace(seconds_left=lambda: 50)
MACHINE = SimpleNamespace(name="cupy")


def test_every_layer_has_the_kernels_after_its_mark(profiler, capsys):
    told = profiler(table(MARK, "a", "b", MARK, "c"))
    found = kernels.measure_kernels(BENCH, MACHINE)
    names = [[kernel["name"] for kernel in layer["kernels"]] for layer in found["layers"]]
    assert names == [["a", "b"], ["c"]]
    assert [layer["layer"] for layer in found["layers"]] == [layer.name for layer in LAYERS[:2]]
    command = json.loads(told.read_text())
    assert command[-2] == "bench.one_step"
    task = json.loads(command[-1])
    assert task.pop("images").endswith(".npz")
    assert task == {"backend": "cupy", "tiny": True}
    kernels.report_kernels(found)
    assert f"{LAYERS[0].name}: 25 µs in kernels" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "code"), [(table(MARK, "a"), 0), ("no permission", 0), ("", 1)])
def test_a_profiler_that_does_not_see_all_layers_is_an_error_with_its_words(profiler, text, code):
    profiler(text, code)
    with pytest.raises(RuntimeError, match="of 2 layers: ") as raised:
        kernels.measure_kernels(BENCH, MACHINE)
    assert text[-100:].strip() in str(raised.value)


def test_without_a_profiler_it_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="no Nsight Compute"):
        kernels.measure_kernels(BENCH, MACHINE)


def test_rows_of_mnist_are_measured_by_the_command_itself(monkeypatch, capsys):
    record = {"row": "mnist-16", "test_error_percent": 1.5, "seconds": {"train": 2.0, "total": 3.0}}
    commands = []

    def run(command, **_):
        commands.append(command)
        output = command[command.index("--output") + 1]
        with open(f"{output}/results.json", "w") as file:
            json.dump([record], file)
        return SimpleNamespace(returncode=len(commands) - 1, stderr="no digits")

    monkeypatch.setattr(end_to_end, "subprocess", SimpleNamespace(run=run))
    found = end_to_end.measure_mnist(BENCH, MACHINE)
    assert found == {"records": [record]}
    assert commands[0][1].endswith("reproduce_mnist.py")
    assert commands[0][2:8] == ["--backend", "cupy", "--rows", "16", "128", "deep"]
    end_to_end.report_mnist(found)
    assert "mnist-16  1.5" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="no digits"):
        end_to_end.measure_mnist(BENCH, MACHINE)


def test_peaks_are_of_random_numbers_that_differ():
    a, b = random_matrices(300, 200, 100)
    assert (a.shape, b.shape) == ((300, 200), (200, 100))
    assert len(np.unique(a)) > 0.99 * a.size
    assert abs(a.mean()) < 0.02
    assert a.std() == pytest.approx(1, abs=0.02)


def test_a_peak_is_what_was_done_in_the_median_time(capsys):
    class Still(Machine):
        is_device, least_seconds, pause_seconds = True, 0, 0

        def seconds(self, call, count):
            call()
            return 0.5

        def ceilings(self, tiny):
            return {"product": (lambda: None, 1e12), "copy": (lambda: None, 2e12)}

    bench = SimpleNamespace(tiny=True, repetitions=3, torch=None)
    found = peaks.measure_peaks(bench, Still(get_backend("cpu")))
    assert found["rates"] == {"product, float32": 2e12, "copy": 4e12}
    peaks.report_peaks(found)
    printed = capsys.readouterr().out
    assert "2 TFLOP/s" in printed
    assert "4 TB/s" in printed
