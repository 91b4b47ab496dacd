"""What the host spends on a training step of the CuPy column: a device that computes nothing.

A launch there costs nothing but what minisca does for it, so this is the same on any machine with a
like processor. CuPy's own part comes on top: some microseconds a launch, once a step where it is
replayed.
"""

import contextlib
import math
import os
import time
from types import SimpleNamespace

import numpy as np
from bench.layers import Step, Training, blank_parameters, describe
from bench.timing import medians
from common.records import print_rows

from minisca.backends import cupy_on

#: Steps of an epoch, as on MNIST's 60,000 images; and epochs that count.
STEPS, EPOCHS = 600, 5
#: Environment variable: 0 launches every kernel of every step anew.
SWITCH = "MINISCA_CUDA_GRAPH"


class DeviceArray:
    """An array that is nowhere."""

    __slots__ = ("data", "dtype", "ndim", "shape", "size")

    def __init__(self, shape, dtype):
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype, self.ndim = np.dtype(dtype), len(self.shape)
        self.size = math.prod(self.shape)
        self.data = SimpleNamespace(mem=None)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        if not isinstance(rows, slice):
            return DeviceArray(self.shape[1:], self.dtype)
        return DeviceArray((len(range(*rows.indices(len(self)))), *self.shape[1:]), self.dtype)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __setitem__(self, rows, source):
        pass

    def reshape(self, *shape):
        sides = shape[0] if isinstance(shape[0], tuple) else shape
        known = math.prod(side for side in sides if side > 0)
        return DeviceArray([side if side > 0 else self.size // known for side in sides], self.dtype)


class Stream:
    """Nothing is ever on its way."""

    def begin_capture(self):
        pass

    def end_capture(self):
        return SimpleNamespace(launch=lambda stream: None)


class Nowhere:
    """What CuPy's machine is (`cupy_on`), of a device that computes nothing and has no memory."""

    shared_limit = 232_448
    compute_capability = 90
    free_bytes = 1 << 36
    failures = (), ()
    stream = Stream

    def __init__(self):
        self.launches = 0
        self.xp = SimpleNamespace(empty=DeviceArray, zeros=DeviceArray, asarray=_on_device)

    def pool(self):
        return SimpleNamespace(malloc=None)

    def allocating(self, allocator):
        return contextlib.nullcontext()

    on_stream = allocating

    def current_stream(self):
        return 0

    def is_there(self, array):
        return type(array) is DeviceArray

    def to_host(self, array):
        return np.zeros(array.shape, array.dtype)

    def send(self, array):
        return lambda: DeviceArray(array.shape, array.dtype)

    def raw_kernel(self, text, name, options):
        return Kernel(self)


class Kernel:
    def __init__(self, device):
        self.device, self.max_dynamic_shared_size_bytes = device, 0

    def __call__(self, grid, block, args, *, shared_mem=0):
        self.device.launches += 1


def _on_device(array, order):
    return DeviceArray(array.shape, array.dtype) if isinstance(array, np.ndarray) else array


@contextlib.contextmanager
def _recorded(wanted):
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "01"[wanted]
    try:
        yield
    finally:
        del os.environ[SWITCH]
        if before is not None:
            os.environ[SWITCH] = before


def measure_host(bench, machine):
    """Microseconds of the host a step, launched kernel by kernel and replayed; launches a step."""
    layers = []
    for layer in bench.layers():
        seconds = {}
        for name, recorded in (("launched", False), ("replayed", True)):
            device = Nowhere()
            with cupy_on(device) as backend, _recorded(recorded):
                shape = (layer.batch, layer.channels, layer.size, layer.size)
                step = Step(backend, np.zeros(shape, np.float32), blank_parameters(layer))
                epoch = Training(step, STEPS)
                epoch()
                before, seconds[name] = device.launches, []
                for _ in range(EPOCHS):  # the thread's own time: others may use the machine
                    start = time.thread_time()
                    epoch()
                    seconds[name].append((time.thread_time() - start) / STEPS)
                if not recorded:
                    launches = round((device.launches - before) / EPOCHS / STEPS)
        layers.append(
            {**describe(layer), "launches": launches, "seconds": seconds}
            | {"median_seconds": medians(seconds)}
        )
    return {"layers": layers}


def report_host(result):
    print_rows(
        [
            {
                "host, µs a step": layer["layer"],
                "launches": layer["launches"],
                "launched": f"{1e6 * layer['median_seconds']['launched']:.0f}",
                "replayed": f"{1e6 * layer['median_seconds']['replayed']:.1f}",
            }
            for layer in result["layers"]
        ]
    )
