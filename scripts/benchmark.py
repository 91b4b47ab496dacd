"""How fast minisca is, beside the arithmetic's floor and a straightforward PyTorch step.

    python scripts/benchmark.py                 steps transform cold threads memory
    python scripts/benchmark.py all             growth and classifier too
    python scripts/benchmark.py steps --json out/steps.json
    python scripts/benchmark.py --backend cupy,numba_cuda     on a device

steps       a training step of five layers, its phases, PyTorch's step
transform   convolution, ReLU and pooling in one pass beside the step's own encoder
cold        importing minisca, the first step with nothing compiled and with a warm cache
threads     two threads beside one; whether one thread is one core
memory      of training, beyond images and parameters, for two numbers of images
classifier  logistic regression on 60,000 x 12,800 features: seconds, memory beyond the features
growth      a first layer's step against maps, batch, image side, filter width; with a plot

"Peak" is the rate of a 2048 x 2048 x 2048 float32 matrix product of NumPy, measured in turns with
everything else; "floor" is the time that the encoder's direct convolution, 2 n m c k^2 h w FLOPs,
would take at that rate. Figures are medians after a warm-up; every repetition stands in the JSON.

On a device, steps, transform and growth are measured with its events, all data on it already,
beside PyTorch on the same device, a large copy, and products of the vendor's library: a large one,
and the encoder's, of patches that somebody wrote down before (bench_device_layers.py). A step's
memory on the device is a column of steps; cold is as above, opening the device included. Threads
and classifier are the CPU's own: a device runs all its threads, and no part of the classifier.

Sections that the JSON has from earlier runs stay in it until they are measured anew.

PyTorch is the measured peer and nothing else: `pip install torch` adds its columns, after its step
was checked to give the same loss, gradients and winners. Best on a machine with nothing else to do.
"""

import argparse
import json
import os
import shutil
import sys
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

import numba
import numpy as np
from bench.classifier import measure_classifier, report_classifier
from bench.cold import measure_cold, report_cold
from bench.device import open_device, peer_on_device
from bench.device_layers import DEVICE_SECTIONS, OF_THE_CPU
from bench.growth import draw_growth, measure_growth, report_growth
from bench.layers import load_digits
from bench.memory import measure_memory, report_memory
from bench.peer import import_torch
from bench.steps import measure_steps, measure_transform, report_steps, report_transform
from bench.threads import measure_threads, report_threads
from bench.timing import caches
from common.options import check_counts
from common.records import ROOT, environment

from minisca.files.atomic import atomic_write

SECTIONS = {
    "steps": (measure_steps, report_steps),
    "transform": (measure_transform, report_transform),
    "cold": (measure_cold, report_cold),
    "threads": (measure_threads, report_threads),
    "memory": (measure_memory, report_memory),
    "classifier": (measure_classifier, report_classifier),
    "growth": (measure_growth, report_growth),
}
DEFAULT_SECTIONS = ("steps", "transform", "cold", "threads", "memory")
PLOT = "benchmark-growth.png"
MEASURED = ROOT / "reference" / "measured"


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="section",
        help=f"of {', '.join(SECTIONS)}, or all (default: {' '.join(DEFAULT_SECTIONS)})",
    )
    parser.add_argument(
        "--backend", default="cpu", help="cpu (default), cupy, numba_cuda, or cupy,numba_cuda"
    )
    parser.add_argument("--json", help="default: benchmark.json in --output")
    parser.add_argument("--output", default="out/benchmark", help="default: out/benchmark")
    parser.add_argument("--repetitions", type=int, default=5, help="default: 5")
    parser.add_argument("--fits", type=int, default=1, help="of each classifier, default: 1")
    parser.add_argument("--data-dir", help="directory with MNIST's IDX files")
    parser.add_argument("--no-peer", action="store_true", help="leave PyTorch out")
    parser.add_argument(
        "--no-slow-peer",
        action="store_true",
        help="leave PyTorch out of the largest layer, where a step of it takes half a minute "
        "(otherwise that one is repeated twice only)",
    )
    parser.add_argument(
        "--scale", choices=("full", "tiny"), default="full", help="tiny: to try the script out"
    )
    parser.add_argument(
        "--record", action="store_true", help="copy JSON and plot into reference/measured/"
    )
    parsed = parser.parse_args(arguments)
    parsed.backend = parsed.backend.split(",")
    if parsed.backend != ["cpu"] and not {*parsed.backend} <= {"cupy", "numba_cuda"}:
        parser.error("--backend must be cpu, or one or both of cupy,numba_cuda")
    known = SECTIONS if parsed.backend == ["cpu"] else DEVICE_SECTIONS
    for section in parsed.sections:
        if section in OF_THE_CPU and section not in known:
            parser.error(f"section is {section!r}, which is the CPU's own: {OF_THE_CPU[section]}")
        if section not in (*known, "all"):
            parser.error(f"section is {section!r}; it must be one of {', '.join(known)}, all")
    check_counts(parser, parsed, "repetitions", "fits")
    if parsed.record and parsed.scale == "tiny":
        parser.error("--record keeps figures that mean something; those of --scale tiny do not")
    chosen = list(known) if "all" in parsed.sections else parsed.sections or DEFAULT_SECTIONS
    parsed.sections = [section for section in known if section in chosen]
    parsed.json = Path(parsed.json or Path(parsed.output) / "benchmark.json")
    return parsed


class Bench:
    """What the sections share: how often, how large, on which threads, with which peer."""

    def __init__(self, arguments):
        self.repetitions = arguments.repetitions
        self.fits = arguments.fits
        self.tiny = arguments.scale == "tiny"
        self.data_dir = arguments.data_dir
        self.skip_slow_peer = arguments.no_slow_peer
        self.threads = numba.get_num_threads()
        self.torch = None if arguments.no_peer else import_torch(self.threads)
        self.product_side = 128 if self.tiny else 2048
        self.classifier_shape = (600, 400) if self.tiny else (60_000, 12_800)

    @cached_property
    def digits(self):
        return load_digits(self.data_dir)

    def layers(self, layers):
        return [layer.tiny() if self.tiny else layer for layer in layers]

    def environment(self):
        """`records.environment` with caches, threads, BLAS, the peer and the digits."""
        found = environment()
        found["versions"]["torch"] = None if self.torch is None else version("torch")
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        found["versions"]["blas"] = f"{blas['name']} {blas['version']}"
        found["machine"]["caches"] = caches()
        limits = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
        found["threads"] = {
            "numba": self.threads,
            "numba_layer": _threading_layer(),
            "blas": _blas_threads(),
            "torch": None if self.torch is None else self.torch.get_num_threads(),
            "environment": {name: os.environ[name] for name in limits if name in os.environ},
        }
        found["digits"] = self.digits.name
        found["repetitions"] = self.repetitions
        found["scale"] = "tiny" if self.tiny else "full"
        return found


def _threading_layer():
    """The threads that Numba runs on: known once something ran on them."""
    try:
        return numba.threading_layer()
    except ValueError:
        return None


def _blas_threads():
    """Threads of NumPy's BLAS, None where threadpoolctl is not there to tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return max(
        (pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"),
        default=None,
    )


def read_sections(path):
    """The sections of earlier runs, each with its own environment: they are kept."""
    return json.loads(path.read_text())["sections"] if path.exists() else {}


def print_environment(found):
    machine, versions = found["machine"], found["versions"]
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB")
    print("; ".join(f"{name} {size}" for name, size in machine["caches"].items()))
    print(", ".join(f"{name} {number}" for name, number in versions.items() if number))
    threads = found["threads"]
    print(f"{threads['numba']} threads; digits: {found['digits']}")
    if threads["blas"] not in (None, threads["numba"]):
        print(
            f"BLAS, the measure of the peak, runs on {threads['blas']}: for figures that compare, "
            "set NUMBA_NUM_THREADS and OPENBLAS_NUM_THREADS alike"
        )
    if versions["torch"] is None:
        print("No PyTorch, no peer's column (pip install torch)")


def main():
    arguments = parse_arguments()
    bench = Bench(arguments)
    try:
        runs = plan(arguments, bench)
    except (ImportError, RuntimeError) as error:
        print(f"Nothing was measured: {error}", file=sys.stderr)
        return 1
    print_environment(bench.environment())
    sections = read_sections(arguments.json)
    plot = None
    for name, measure, report in runs:
        print()
        result = measure(bench)
        sections[name] = {"environment": bench.environment(), **result}
        with atomic_write(arguments.json) as file:
            file.write(json.dumps({"sections": sections}, indent=1).encode() + b"\n")
        report(result)
        if name == "growth":
            plot = draw_plot(Path(arguments.output) / PLOT, result)
    if arguments.backend != ["cpu"]:
        print("\nNot of a device, but the CPU's own:")
        for name, why in OF_THE_CPU.items():
            print(f"{name}: {why}")
    print(f"\nEvery repetition: {arguments.json}")
    if arguments.record:
        record(arguments.json, plot)


def plan(arguments, bench):
    """What is to be measured: names, and functions that measure and report.

    Raises ImportError or RuntimeError, saying what it takes, for a backend that does not run here.
    """
    if arguments.backend == ["cpu"]:
        return [(name, *SECTIONS[name]) for name in arguments.sections]
    devices = [open_device(name) for name in arguments.backend]
    bench.torch, bench.torch_device = peer_on_device(bench.torch)
    runs = []
    for device in devices:
        for name in arguments.sections:
            measure, report = DEVICE_SECTIONS[name]
            runs.append((f"{name} on {device.name}", partial(measure, device=device), report))
    return runs


def draw_plot(path, result):
    """Draw the growth; returns its path, None where there is no matplotlib."""
    try:
        draw_growth(path, result)
    except ImportError as error:
        print(f"No plot: {error}")
        return None
    print(f"Plot: {path}")
    return path


def record(path, plot):
    """Copy the JSON, and the plot if one was made, to where the figures that count are kept."""
    (MEASURED / "figures").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, MEASURED / "benchmark.json")
    if plot is not None:
        shutil.copyfile(plot, MEASURED / "figures" / PLOT)
    print(f"Recorded in {(MEASURED / 'benchmark.json').relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
