"""What a training step should take on an H100, from arithmetic and the compiler's report.

    python scripts/roofline.py            the tables, as Markdown
    python scripts/roofline.py --record   into reference/roofline.md

Nothing here was measured. The launches are those of the CuPy backend's own code (launches.py), the
registers and shared memory those of NVRTC's machine code for compute capability 9.0
(kernel_report.py). Of each launch:

FLOPs   what the operation asks for, a survivor in every map, none cut by the image's edge
bytes   every array once, as if the caches held the rest: what memory must move at least
fetched what blocks ask of the second level of cache, patch by patch and filter by filter, in whole
        sectors of 32 bytes; of a filter that neighbouring warps share, once a block
bound   the slowest of FLOPs at 67 TFLOP/s, bytes at 3.35 TB/s, fetched at 5.5 TB/s (of the second
        level of cache: an assumption, NVIDIA prints no figure), and the instructions of the
        convolution: products of a padded tile and reads of shared memory, one a lane and cycle

Kernels run one after the other, so a step's bound is the sum of theirs; but the host has to launch
them, at some 10 µs each from Python (an assumption too). The estimate is the larger of the two.
"""

import argparse
import functools
import sys
from typing import NamedTuple

import numpy as np
from bench.kernel_report import compile_kernels
from bench.layers import LAYERS
from common.records import ROOT
from launches import record_step
from occupancy import SHARED_OF_BLOCK, occupancy

from minisca.backends.cupy.kernels import convolution as products
from minisca.backends.cupy.kernels import direct, survivors
from minisca.files.atomic import atomic_write

PAGE = ROOT / "reference" / "roofline.md"

#: An H100 (SXM), from its data sheet.
FLOPS, BANDWIDTH = 67e12, 3.35e12
CACHE_BANDWIDTH, LAUNCH_SECONDS = 5.5e12, 10e-6  # assumed
LANES_A_SECOND = FLOPS / 2  # a lane's product and sum is one instruction, two FLOPs
SECTOR = 32  # bytes: what the caches exchange
ARCHITECTURE = 90


class Work(NamedTuple):
    """Of one launch: FLOPs, bytes that blocks fetch beyond their own caches, lane instructions."""

    flops: float
    fetched: float = 0
    instructions: float = 0


def work_of(launch, layer):
    """The `Work` of a launch in a step of `layer`."""
    n, m, places, k = layer.batch, layer.n_maps, layer.size**2, layer.width
    taps, patch = layer.channels * k * k, layer.channels * _patch(layer)
    pixels, slots = n * layer.channels * places, n * m
    largest = max(array.size for array in launch.args if isinstance(array, np.ndarray))
    return {
        "gather": lambda: Work(0),
        "direct_winners": lambda: Work(layer.flops, *_direct(launch, layer)),
        "convolve_winners": lambda: Work(layer.flops, *_product(launch, layer)),
        "keep_largest": lambda: Work(0),
        "decode": lambda: Work(2 * slots * taps, slots * layer.channels * _segment(4 * k * k)),
        "subtract_and_sum": lambda: Work(4 * pixels),
        "correlate_errors": lambda: Work(
            2 * slots * taps, slots * (patch + 4 * taps / survivors.ENTRIES_OF_BLOCK)
        ),
        "add_patches": lambda: Work(4 * slots * taps, 2 * slots * patch),
        "sum_channels": lambda: Work(pixels),
        "sum_pieces": lambda: Work(largest),
        "sgd_momentum": lambda: Work(4 * int(launch.args[-1])),
    }[launch.name]()


def _segment(n_bytes):
    """Bytes of the sectors that so many bytes in a row meet, on average over where they begin."""
    return n_bytes + SECTOR - 4


def _patch(layer):
    """Bytes of the sectors that a patch of one channel meets: its lines, or all that they span."""
    k = layer.width
    return min(k * _segment(4 * k), _segment(4 * ((k - 1) * layer.size + k)))


def _macro(launch, name):
    (value,) = (option.split("=")[1] for option in launch.options if option[2:].startswith(name))
    return int(value)


def _direct(launch, layer):
    """Fetched by kernels/direct.cu, and its instructions, idle lanes included."""
    strip, k = _macro(launch, "STRIP"), layer.width
    line = strip * direct.MAPS * k + (strip + k - 1) + k * direct.MAPS / 4
    strips = layer.size * -(-layer.size // strip)
    lanes = int(launch.args[7])
    rounds = -(-strips // lanes)
    image = layer.channels * layer.size**2
    filters = launch.threads // lanes * direct.MAPS * layer.channels * k * k
    return (
        4 * launch.blocks * (image + filters),
        launch.blocks * launch.threads * rounds * layer.channels * k * line,
    )


def _product(launch, layer):
    """Fetched by kernels/convolution.cu, and its instructions, the tile's padding included."""
    tile = products.Tile(
        *(_macro(launch, f"{name}=") for name in
          ("THREAD_ROWS", "THREAD_COLUMNS", "ROWS", "COLUMNS"))
    )  # fmt: skip
    depth = layer.channels * layer.width**2
    work = tile.work(layer.n_maps, layer.size**2)
    return 4 * launch.blocks * depth * sum(tile.sides), layer.batch * depth * work


def n_bytes(launch):
    """Every array among the arguments once; those that are updated in place, twice."""
    arrays = {id(array): array for array in launch.args if isinstance(array, np.ndarray)}
    total = sum(array.nbytes for array in arrays.values())
    if launch.name == "gather":  # of all the images, only the batch
        images, _, _, gathered, _ = launch.args
        total += gathered.nbytes - images.nbytes
    if launch.name == "sgd_momentum":  # values and velocities
        total += total * 2 // 3
    return total


def bounds_of(launch, layer):
    """FLOPs, bytes, and what bounds the launch for how long: what needs no compiler."""
    work, moved = work_of(launch, layer), n_bytes(launch)
    times = {
        "arithmetic": work.flops / FLOPS,
        "memory": moved / BANDWIDTH,
        "cache": work.fetched / CACHE_BANDWIDTH,
        "instructions": work.instructions / LANES_A_SECOND,
    }
    bound = max(times, key=times.get)
    return work, moved, bound, times[bound]


def computed_cells(launch, layer):
    """The first cells of a row: what needs no compiler."""
    work, moved, bound, seconds = bounds_of(launch, layer)
    return [
        f"`{launch.name}`",
        f"{launch.blocks:,} x {launch.threads}",
        f"{work.flops / 1e6:,.1f}",
        f"{moved / 1e6:,.2f}",
        f"{work.fetched / 1e6:,.1f}" if work.fetched else "",
        bound,
        f"{1e6 * seconds:,.1f}",
    ]


def compiled_cells(launch):
    """The last cells: what the compiler's report allows."""
    found = {kernel.name: kernel for kernel in _compiled(launch.file, launch.options)}
    kernel = found[launch.name]
    share, limit = occupancy(launch, kernel)
    return [
        str(kernel.registers),
        f"{kernel.shared_bytes + launch.shared_bytes:,}",
        "100%" if share == 1 else f"{share:.0%}, {limit}",
    ]


@functools.cache
def _compiled(file, options):
    return compile_kernels(file, options, ARCHITECTURE)


HEADER = (
    "kernel | blocks x threads | MFLOP | MB | MB fetched | bound by | µs | registers | "
    "shared memory | occupancy, limited by"
)


def table(layer):
    """The Markdown table of a layer, its sum and the estimate below."""
    launches = record_step(layer, SHARED_OF_BLOCK)
    lines = [f"| {HEADER} |", "|" + "---|" * len(HEADER.split("|"))]
    for launch in launches:
        cells = computed_cells(launch, layer) + compiled_cells(launch)
        lines.append("| " + " | ".join(cells) + " |")
    device = sum(bounds_of(launch, layer)[3] for launch in launches)
    host, floor = len(launches) * LAUNCH_SECONDS, layer.flops / FLOPS
    lines += [
        "",
        f"The bounds add up to {1e6 * device:,.0f} µs for {layer.batch} images, "
        f"{device / floor:.2f} times the encoder's arithmetic ({1e6 * floor:,.0f} µs); "
        f"{len(launches)} launches take the host {1e6 * host:,.0f} µs. Estimate of a step: "
        f"**{1e6 * max(device, host):,.0f} µs**.",
    ]
    return "\n".join(lines)


HEAD = """# What a training step should take on an H100

Computed by `python scripts/roofline.py`, which says how; not measured. CuPy backend, float32, all
data on the device. MB: every array once, at 3.35 TB/s. MB fetched: what blocks ask of the second
level of cache, in whole sectors, at 5.5 TB/s. Arithmetic: 67 TFLOP/s; instructions: those of the
convolution's padded tiles, reads of shared memory among them. A launch from Python: 10 µs. The
cache's rate and the launch are assumptions. Registers and shared memory (bytes of a block) are
NVRTC's for compute capability 9.0; no kernel spills.
"""


TAIL = """The first layer is bound by its launches; the second by its encoder and, for as long, by
patches and filters that pass through the cache once a survivor. Kernels that kept some channels of
an image in shared memory for many maps would fetch less.
"""


def page():
    layers = [layer for layer in LAYERS if layer.name.startswith("MNIST") and layer.n_maps > 16]
    return "\n".join([HEAD, *(f"## {layer.name}\n\n{table(layer)}\n" for layer in layers), TAIL])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    try:
        text = page()
    except ImportError as error:
        print(f"The compiler's report needs CuPy with NVRTC: {error}", file=sys.stderr)
        return 1
    print(text, end="")
    if arguments.record:
        with atomic_write(PAGE) as file:
            file.write(text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
