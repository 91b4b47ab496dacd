"""How fast minisca is, beside the arithmetic's floor and a straightforward PyTorch step.

    python scripts/benchmark.py                 steps transform cold threads memory
    python scripts/benchmark.py all             large, classifier and growth too
    python scripts/benchmark.py steps --json out/steps.json
    python scripts/benchmark.py --backend cupy,numba_cuda     on a device
    python scripts/benchmark.py all --json reference/measured/benchmark.json \\
        --output reference/measured/figures                   the published figures

steps       a training step of five layers, its phases, PyTorch's step
transform   convolution, ReLU and pooling in one pass beside the step's own encoder
cold        importing minisca, the first step with nothing compiled and with a warm cache
threads     two threads beside one
memory      of training, beyond images and parameters, for two numbers of images
large       images up to 1024 x 1024 x 3: time of a pixel, memory beyond batch and reconstruction
classifier  logistic regression on 60,000 x 12,800 features: seconds, memory beyond the features
growth      a first layer's step against maps, batch, image side, filter width; with a plot

"Peak" is the rate of a 2048 x 2048 x 2048 float32 matrix product of NumPy, measured in turns with
everything else; "floor" is the time that the encoder's direct convolution, 2 n m c k^2 h w FLOPs,
would take at that rate. Figures are medians after a warm-up; every repetition stands in the JSON.

On a device, steps, transform and growth are measured with its events, all data on it already,
beside PyTorch on the same device, a large copy, and products of the vendor's library: one of 8192 x
8192 x 8192, and the encoder's, of patches that somebody wrote down before. A step's memory on the
device is a column of steps; cold is as above, opening the device included. The other sections are
the CPU's own.

Sections that the JSON has from earlier runs stay in it until they are measured anew.

PyTorch is the measured peer and nothing else: `pip install torch` adds its columns, after its step
was checked to give the same loss, gradients and winners. Best on a machine with nothing else to do.
"""

import itertools
import json
import os
import sys
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numba
import numpy as np
from bench.children import can_measure_memory
from bench.classifier import measure_classifier, report_classifier
from bench.cold import measure_cold, report_cold
from bench.growth import draw_growth, measure_growth, report_growth
from bench.large import measure_large, report_large
from bench.layers import LAYERS, Step, load_digits, make_images, make_parameters
from bench.machines import open_machine, peer_on_device
from bench.memory import measure_memory, report_memory
from bench.peer import import_torch
from bench.steps import measure_steps, measure_transform, report_steps, report_transform
from bench.threads import measure_threads, report_threads
from common.data_files import read_json, run_command
from common.locks import check_packages, lock
from common.options import check_counts, make_parser
from common.records import environment

from minisca.files.atomic import atomic_write

SECTIONS = {
    "steps": (measure_steps, report_steps),
    "transform": (measure_transform, report_transform),
    "cold": (measure_cold, report_cold),
    "threads": (measure_threads, report_threads),
    "memory": (measure_memory, report_memory),
    "large": (measure_large, report_large),
    "classifier": (measure_classifier, report_classifier),
    "growth": (measure_growth, report_growth),
}
DEFAULT_SECTIONS = ("steps", "transform", "cold", "threads", "memory")
#: The sections that a device has not, and why.
OF_THE_CPU = {
    "threads": "it compares numbers of the CPU's threads; a device always runs all that it has",
    "classifier": "logistic regression runs on the CPU, whatever the features were computed on",
    "memory": "it is the host's; a step's memory on the device is a column of steps",
    "large": "its memory is the host's",
}
#: The sections that read Linux's /proc.
OF_LINUX = ("memory", "large", "classifier")


def parse_arguments(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="section",
        help=f"of {', '.join(SECTIONS)}, or all; default: {' '.join(DEFAULT_SECTIONS)}",
    )
    parser.add_argument("--repetitions", type=int, default=5, help="default: 5")
    parser.add_argument("--no-peer", action="store_true", help="leave PyTorch out")
    parser.add_argument("--data-dir", help="directory with MNIST's IDX files")
    parser.add_argument(
        "--backend", default="cpu", help="cpu, cupy, numba_cuda, or cupy,numba_cuda; default: cpu"
    )
    parser.add_argument("--json", help="file of the figures; default: benchmark.json in --output")
    output = "out/benchmark"
    parser.add_argument("--output", default=output, help=f"directory to write; default: {output}")
    parser.add_argument("--quick", action="store_true", help="tiny layers, to try the script out")
    parsed = parser.parse_args(arguments)
    parsed.backend = parsed.backend.split(",")
    if parsed.backend != ["cpu"] and not {*parsed.backend} <= {"cupy", "numba_cuda"}:
        parser.error("--backend must be cpu, or one or both of cupy,numba_cuda")
    known = [name for name in SECTIONS if parsed.backend == ["cpu"] or name not in OF_THE_CPU]
    for section in parsed.sections:
        if section in SECTIONS and section not in known:
            parser.error(f"section is {section!r}, which is the CPU's own: {OF_THE_CPU[section]}")
        if section not in (*known, "all"):
            parser.error(f"section is {section!r}; it must be one of {', '.join(known)}, all")
    check_counts(parser, parsed, "repetitions")
    chosen = known if "all" in parsed.sections else parsed.sections or DEFAULT_SECTIONS
    parsed.sections = [section for section in known if section in chosen]
    parsed.json = Path(parsed.json or Path(parsed.output) / "benchmark.json")
    return parsed


class Bench:
    """What the sections share: how often, how large, on which threads, with which peer."""

    def __init__(self, arguments):
        self.repetitions = arguments.repetitions
        self.tiny = arguments.quick
        self.data_dir = arguments.data_dir
        self.threads = numba.get_num_threads()
        self.torch = None if arguments.no_peer else import_torch(self.threads)
        self.torch_device = "cpu"

    @cached_property
    def digits(self):
        return load_digits(self.data_dir)

    def steps(self, machine):
        """Yield the layers and a training step of each."""
        for layer in self.layers():
            x = make_images(layer, self.digits)
            yield layer, Step(machine.backend, x, make_parameters(layer))

    def layers(self, names=None):
        found = [layer for layer in LAYERS if names is None or layer.name in names]
        return [layer.tiny() if self.tiny else layer for layer in found]

    def environment(self):
        """`records.environment` with threads, BLAS, the peer and the digits."""
        found = environment()
        found["versions"]["torch"] = None if self.torch is None else version("torch")
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        found["versions"]["blas"] = f"{blas['name']} {blas['version']}"
        limits = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
        found["threads"] = {
            "numba": self.threads,
            "blas": _blas_threads(),
            "torch": None if self.torch is None else self.torch.get_num_threads(),
            "environment": {name: os.environ[name] for name in limits if name in os.environ},
        }
        found |= {"digits": self.digits.name, "repetitions": self.repetitions}
        return found | {"scale": "tiny" if self.tiny else "full"}


def _blas_threads():
    """Threads of NumPy's BLAS, None where threadpoolctl is not there to tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    return max((pool["num_threads"] for pool in pools), default=None)


def print_environment(found):
    machine, versions, threads = found["machine"], found["versions"], found["threads"]
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB")
    print(", ".join(f"{name} {number}" for name, number in versions.items() if number))
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
    pictures = check_packages() and "growth" in arguments.sections
    bench = Bench(arguments)
    try:
        machines = [open_machine(name) for name in arguments.backend]
    except (ImportError, RuntimeError) as error:
        print(f"Nothing was measured: {error}", file=sys.stderr)
        return 1
    for machine in machines if bench.tiny else ():
        machine.hurry()
    if machines[0].is_device:
        bench.torch, bench.torch_device = peer_on_device(bench.torch)
    print_environment(bench.environment())
    for machine, section in itertools.product(machines, arguments.sections):
        print()
        if section in OF_LINUX and not can_measure_memory():
            print(f"{section}: not measured, its memory is measured through Linux's /proc")
            continue
        name = f"{section} on {machine.name}" if machine.is_device else section
        measure, report = SECTIONS[section]
        result = measure(bench, machine)
        if machine.is_device:
            result = {"device": machine.description()} | result
            print(f"{name}: {result['device']['name']}")
        write_section(arguments.json, name, {"environment": bench.environment(), **result})
        report(result)
        if section == "growth" and pictures:
            plot = Path(arguments.output) / f"benchmark-{name.replace(' ', '-')}.png"
            draw_growth(plot, result)
            print(f"Plot: {plot}")
    if arguments.backend != ["cpu"]:
        print("\nNot of a device, but the CPU's own:")
        for name, why in OF_THE_CPU.items():
            print(f"{name}: {why}")
    print(f"\nEvery repetition: {arguments.json}")


def read_sections(path):
    """The sections of earlier runs, each with its own environment: they are kept."""
    return read_json(path, {"sections": dict})["sections"] if path.exists() else {}


def write_section(path, name, section):
    """Put a section into the file in place of an earlier one of its name."""
    with lock(path), atomic_write(path) as file:
        sections = read_sections(path) | {name: section}
        file.write(json.dumps({"sections": sections}, indent=1).encode() + b"\n")


if __name__ == "__main__":
    run_command(main)
