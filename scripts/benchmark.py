"""How fast minisca is, beside the arithmetic's floor and two PyTorch steps: plain and the best.

    python scripts/benchmark.py                 steps transform cold threads memory
    python scripts/benchmark.py all             stream, busy, large, classifier and growth too
    python scripts/benchmark.py steps --json out/steps.json
    python scripts/benchmark.py device          on a GPU: all that needs one, in ten minutes
    python scripts/benchmark.py device mnist    MNIST's rows from end to end too
    python scripts/benchmark.py all --json reference/measured/benchmark.json \\
        --output reference/measured/figures                   the published figures

steps       a training step of five layers, its phases, PyTorch's step, and the best one that we
            can write in PyTorch: by hand, of every operation its fastest way; and compiled
transform   convolution, ReLU and pooling in one pass beside the step's own encoder
cold        importing minisca, the first step with nothing compiled and with a warm cache
threads     two threads beside one
stream      one `partial_fit` a batch on images without a zero pixel, checks and copies included
busy        a step beside two processes that never rest: all threads beside one
memory      of training, beyond images and parameters, for two numbers of images
large       images up to 1024 x 1024 x 3: time of a pixel, memory beyond batch and reconstruction
classifier  logistic regression on 60,000 x 12,800 features: seconds, memory beyond the features;
            the SVM and it beside scikit-learn's on 20,000: seconds, memory, objective, error
growth      a first layer's step against maps, batch, image side, channels, filter width; a plot

"Peak" is the rate of a 2048 x 2048 x 2048 float32 matrix product of NumPy, measured in turns with
everything else; "floor" is the time that the encoder's direct convolution, 2 n m c k^2 h w FLOPs,
would take at that rate. Figures are medians after a warm-up; every repetition stands in the JSON.

On a device, with --backend, steps, transform and growth are measured with its events, all data on
it already, beside PyTorch on the same device, a large copy, and products of the vendor's library:
one of 8192 x 8192 x 8192, and the encoder's, of patches that somebody wrote down before. A step's
memory on the device is a column of steps; cold is as above, opening the device included. Then there
are

peaks       products of float32, TF32 and float16, and a copy
peers       PyTorch's step as it comes, as one CUDA graph, and the best one that we can write
compiled    PyTorch's steps through torch.compile
kernels     every kernel of a step, by Nsight Compute where it is installed
mnist       the rows of Table 1, from the images to the test error

and the other sections are the CPU's own. `device` is steps, transform and cold of both columns,
peaks, peers, kernels and compiled: what fails is written down, and the rest goes on.

host: what the host spends on a training step of the CuPy column, kernel by kernel and replayed; a
stand-in of the device computes nothing.

scale: a training step of MNIST's layers on 1, 2 and more ranks, of one thread each: both splits,
what they exchange, the efficiency; and an estimate of 4 to 64 ranks. It needs the extra `mpi`.

machine-code: registers, spills and the inner loop of every kernel of a step and of encoding, and an
estimate of its time. It needs no device, but CuPy and NVIDIA's disassembler
(pip install nvidia-cuda-nvdisasm).

Sections that the JSON has from earlier runs stay in it until they are measured anew.

PyTorch is the measured peer and nothing else: `pip install torch` adds its columns, after its step
was checked to give the same loss, gradients and winners. Best on a machine with nothing else to do.
"""

import itertools
import json
import sys
from pathlib import Path

from bench.busy import measure_busy, report_busy
from bench.children import can_measure_memory
from bench.classifier import measure_classifier, report_classifier
from bench.cold import measure_cold, report_cold
from bench.compiled import check_compiler
from bench.device import LEAST_SECONDS, ONCE, PLAN, noting, plan
from bench.end_to_end import measure_mnist, report_mnist
from bench.growth import draw_growth, measure_growth, report_growth
from bench.host import measure_host, report_host
from bench.kernels import measure_kernels, report_kernels
from bench.large import measure_large, report_large
from bench.machine_code import measure_machine_code, report_machine_code
from bench.machines import open_machine, peer_on_device
from bench.memory import measure_memory, report_memory
from bench.peaks import measure_peaks, report_peaks
from bench.peers import measure_compiled, measure_peers, report_peers
from bench.run import Bench, print_environment
from bench.scale import measure_scale, report_scale
from bench.steps import measure_steps, measure_transform, report_steps, report_transform
from bench.stream import measure_stream, report_stream
from bench.threads import measure_threads, report_threads
from common.data_files import read_json, run_command
from common.locks import check_packages, lock
from common.options import check_counts, make_parser

from minisca.files.atomic import atomic_write

SECTIONS = {
    "steps": (measure_steps, report_steps),
    "transform": (measure_transform, report_transform),
    "cold": (measure_cold, report_cold),
    "threads": (measure_threads, report_threads),
    "stream": (measure_stream, report_stream),
    "busy": (measure_busy, report_busy),
    "memory": (measure_memory, report_memory),
    "large": (measure_large, report_large),
    "classifier": (measure_classifier, report_classifier),
    "growth": (measure_growth, report_growth),
    "peaks": (measure_peaks, report_peaks),
    "peers": (measure_peers, report_peers),
    "compiled": (measure_compiled, report_peers),
    "kernels": (measure_kernels, report_kernels),
    "mnist": (measure_mnist, report_mnist),
    "host": (measure_host, report_host),
    "scale": (measure_scale, report_scale),
    "machine-code": (measure_machine_code, report_machine_code),
}
DEFAULT_SECTIONS = ("steps", "transform", "cold", "threads", "memory")
#: The sections that a device has not, and why.
OF_THE_CPU = {
    "threads": "it compares numbers of the CPU's threads; a device always runs all that it has",
    "stream": "a layer's images come from the host one batch at a time",
    "busy": "its neighbours and its threads are the CPU's",
    "classifier": "logistic regression runs on the CPU, whatever the features were computed on",
    "scale": "it runs on the CPU's cores, a rank each",
    "memory": "it is the host's; a step's memory on the device is a column of steps",
    "large": "its memory is the host's",
}
OF_A_DEVICE = ("peaks", "peers", "compiled", "kernels", "mnist")
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
        "--backend",
        help="cpu, cupy, numba_cuda, or cupy,numba_cuda; default: cpu; of `device` both",
    )
    parser.add_argument(
        "--minutes", type=float, default=10, help="of `device`: what has not begun then is left out"
    )
    parser.add_argument("--json", help="file of the figures; default: benchmark.json in --output")
    output = "out/benchmark"
    parser.add_argument("--output", default=output, help=f"directory to write; default: {output}")
    parser.add_argument("--quick", action="store_true", help="tiny layers, to try the script out")
    parsed = parser.parse_args(arguments)
    parsed.is_device_run = "device" in parsed.sections
    default = "cupy,numba_cuda" if parsed.is_device_run else "cpu"
    parsed.backend = (parsed.backend or default).split(",")
    on_cpu = parsed.backend == ["cpu"]
    if not on_cpu and not {*parsed.backend} <= {"cupy", "numba_cuda"}:
        parser.error("--backend must be cpu, or one or both of cupy,numba_cuda")
    others = OF_A_DEVICE if on_cpu else OF_THE_CPU
    known = [name for name in SECTIONS if name not in others]
    for section in parsed.sections:
        if section in OF_THE_CPU and not on_cpu:
            parser.error(f"section is {section!r}, which is the CPU's own: {OF_THE_CPU[section]}")
        if on_cpu and section in (*OF_A_DEVICE, "device"):
            parser.error(f"section is {section!r}, which is a device's own; see --backend")
        if section not in (*known, "all", "device"):
            parser.error(f"section is {section!r}; it must be one of {', '.join(known)}, all")
    if parsed.is_device_run:
        parsed.sections += [name for name, *_ in PLAN if name != "mnist"]
    check_counts(parser, parsed, "repetitions", "minutes")
    measured = [name for name in known if name not in ("host", "scale", "machine-code")]
    chosen = measured if "all" in parsed.sections else parsed.sections or DEFAULT_SECTIONS
    parsed.sections = [section for section in known if section in chosen]
    parsed.json = Path(parsed.json or Path(parsed.output) / "benchmark.json")
    return parsed


def main():
    arguments = parse_arguments()
    pictures = check_packages() and "growth" in arguments.sections
    bench = Bench(arguments)
    if arguments.is_device_run:
        return run_device(arguments, bench)
    try:
        machines = [open_machine(name) for name in arguments.backend]
        if "machine-code" in arguments.sections:
            check_compiler()
    except (ImportError, RuntimeError) as error:
        print(f"Nothing was measured: {error}", file=sys.stderr)
        return 1
    use_peer(bench, machines[0])
    print_environment(bench.environment())
    for machine, section in itertools.product(machines, arguments.sections):
        if section in OF_LINUX and not can_measure_memory():
            print(f"\n{section}: not measured, its memory is measured through Linux's /proc")
            continue
        result = measure_section(arguments, bench, section, machine)
        if section == "growth" and pictures:
            name = section_name(section, machine).replace(" ", "-")
            plot = Path(arguments.output) / f"benchmark-{name}.png"
            draw_growth(plot, result)
            print(f"Plot: {plot}")
    if arguments.backend != ["cpu"]:
        print("\nNot of a device, but the CPU's own:")
        for name, why in OF_THE_CPU.items():
            print(f"{name}: {why}")
    print(f"\nEvery repetition: {arguments.json}")


def run_device(arguments, bench):
    """Everything that needs a device, whatever fails; 1 where nothing could be measured."""
    machines = []
    for name in arguments.backend:
        try:
            machines.append(open_machine(name))
        except (ImportError, RuntimeError) as error:
            bench.failed[name] = str(error)
    if machines:
        use_peer(bench, machines[0])
        print_environment(bench.environment())
    for section, machine, share in plan(arguments.sections, machines):
        with noting(bench.failed, section_name(section, machine)):
            bench.clock.begin(share, LEAST_SECONDS.get(section, 0))
            measure_section(arguments, bench, section, machine)
    write_section(arguments.json, "failed on a device", bench.failed)
    print(f"\nEvery repetition: {arguments.json}")
    for name, why in bench.failed.items():
        print(f"Not measured: {name}: {why}", file=sys.stderr)
    return 0 if machines else 1


def use_peer(bench, machine):
    """Take PyTorch to where the machine is."""
    if machine.is_device:
        bench.torch, bench.torch_device = peer_on_device(bench.torch)


def section_name(section, machine):
    """How a section of the file is called."""
    return f"{section} on {machine.name}" if machine.is_device and section not in ONCE else section


def measure_section(arguments, bench, section, machine):
    """Measure, write down (what there is so far, too) and print; returns the result."""
    if bench.tiny:
        machine.hurry()
    measure, report = SECTIONS[section]
    bench.section = name = section_name(section, machine)
    head = {"environment": bench.environment()}
    if machine.is_device:
        head["device"] = machine.description()

    def keep(found):
        write_section(arguments.json, name, head | found)

    bench.keep = keep if machine.is_device else bench.keep
    print(f"\n{name}: {head['device']['name']}" if machine.is_device else "")
    result = measure(bench, machine)
    keep(result)
    report(result)
    return head | result


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
