"""From images to an error rate on one device: what crosses the bus, what is read, what it takes.

Counted from the sizes of the data and of the rows. A step's and an encoding's seconds are those of
`benchmark.py device`, all others estimates by the rates below.
"""

import math
from typing import NamedTuple

from published.gpu import layers_of, medians_of
from published.tables import Table

#: Bytes a second over the bus from pinned memory, and of the device's memory.
BUS, MEMORY = 25e9, 3e12
#: FLOPs a second of products with few columns, in float32, and in float64.
FLOAT32, FLOAT64 = 20e12, 10e12
#: A classifier is fitted twice, by so many evaluations each.
FITS, EVALUATIONS = 2, 210
#: Of L-BFGS: vectors, float64, that an evaluation's arithmetic reads or writes; FLOPs a number of
#: one, of inner products of 22 vectors, three times, each part of 32 with every other; seconds that
#: its 40 launches take, and 20 small copies, most of which the host waits for.
VECTORS, PRODUCTS, LAUNCHES = 120, 3 * 22 * 2 * 32, 1e-3
#: FLOPs a second of the eigenvectors of ZCA's covariance on the host, some 9 d^3.
EIGENVECTORS = 50e9
CLASSES, BATCH = 10, 100


class Data(NamedTuple):
    """Images of a data set: training, test, and an image's shape."""

    n_train: int
    n_test: int
    shape: tuple


class Way(NamedTuple):
    """A row: its layers as the benchmark calls them, their epochs, and the last one's features.

    An epoch of 0 is one that another row has trained.
    """

    name: str
    data: Data
    layers: tuple
    epochs: tuple
    features: tuple  # of each layer: (m, h', w')
    prepared: bool = False


MNIST, CIFAR = Data(60_000, 10_000, (1, 28, 28)), Data(50_000, 10_000, (3, 32, 32))
FIRST, SECOND = "MNIST layer 1, 128 maps", "MNIST layer 2, 128 to 2048 maps"
CIFAR_FIRST, CIFAR_SECOND = "CIFAR layer 1, 512 maps", "CIFAR layer 2, 512 to 4096 maps"
WAYS = {
    "30 s": [
        Way("16 maps", MNIST, ("MNIST layer 1, 16 maps",), (15,), ((16, 10, 10),)),
        Way("128 maps", MNIST, (FIRST,), (15,), ((128, 10, 10),)),
        Way("128, then 2048", MNIST, (FIRST, SECOND), (0, 1), ((128, 10, 10), (2048, 5, 5))),
    ],
    "5 minutes": [
        Way("512 maps", CIFAR, (CIFAR_FIRST,), (8,), ((512, 8, 8),), prepared=True),
        Way(
            "512, then 4096",
            CIFAR,
            (CIFAR_FIRST, CIFAR_SECOND),
            (0, 2),
            ((512, 8, 8), (4096, 4, 4)),
        ),
    ],
}


def gpu_end_to_end():
    """Every phase of Table 1's rows and of CIFAR-10's, and their sums beside what is aimed at."""
    rows = []
    for aim, ways in WAYS.items():
        every = [phase for way in ways for phase in phases(way)]
        name = None
        for way, phase, *amounts in every:
            rows.append([way if way != name else "", phase, *shown(*amounts), "not yet timed"])
            name = way
        sums = shown(*(sum(phase[i] for phase in every) for i in range(2, 6)))
        rows.append(["all", f"aim: {aim}", *sums, "not yet timed"])
    header = ["row", "phase", "over the bus", "device's memory", "work", "estimate", "measured"]
    return Table(header, rows)


def phases(way):
    """Yield (row, phase, bytes over the bus, bytes of memory, FLOPs, seconds)."""
    n, size = way.data.n_train, math.prod(way.data.shape)
    images = 4 * size * (n + way.data.n_test)
    if way.prepared:
        covariance, product = 2 * n * size**2, 2 * images // 4 * size
        seconds = covariance / FLOAT64 + product / FLOAT32 + 9 * size**3 / EIGENVECTORS
        work = covariance + product
        yield way.name, "prepare", 4 * images, 10 * images, work, seconds + 4 * images / BUS
    machine_code, steps = layers_of("machine-code"), medians_of("steps on cupy")
    encodings = medians_of("transform on cupy")
    for place, (layer, epochs) in enumerate(zip(way.layers, way.epochs, strict=True)):
        first = images if place == 0 else 0  # features of the layer below are there
        read, work = counted(machine_code[layer]["kernels"])
        count = epochs * n // BATCH
        if count:
            spent = count * steps[layer]["minisca"] + first / BUS
            yield way.name, f"train layer {place + 1}", first, count * read, count * work, spent
        read, work = counted(machine_code[layer]["others"]["pooled features"])
        count = (n + way.data.n_test) // BATCH
        spent = count * encodings[layer]["encode_pooled"]
        yield way.name, f"encode by layer {place + 1}", 0, count * read, count * work, spent
    f = math.prod(way.features[-1])
    times, halves, vector = FITS * EVALUATIONS, 4 * n * f > 4 << 30, 8 * CLASSES * f
    read, work = times * 2 * n * f * (2 if halves else 4), times * 4 * n * f * CLASSES
    searched, products = times * VECTORS * vector, times * PRODUCTS * CLASSES * f
    bus = times * vector  # the gradient, of which the host looks for the largest entry
    spent = max(read / MEMORY, work / FLOAT32) + searched / MEMORY + products / FLOAT64
    spent += times * LAUNCHES + bus / BUS
    yield way.name, "classify", bus, read + searched, work + products, spent


def counted(kernels):
    """Bytes of the arguments of kernels, and their FLOPs."""
    return tuple(sum(kernel[name] for kernel in kernels) for name in ("argument_bytes", "flops"))


def shown(bus, memory, work, seconds):
    """Amounts as a reader has them."""
    amounts = (bus / 1e6, "MB"), (memory / 1e9, "GB"), (work / 1e12, "TFLOP"), (seconds, "s")
    return [f"{n:.2g} {unit}" if n < 10 else f"{n:,.0f} {unit}" for n, unit in amounts]
