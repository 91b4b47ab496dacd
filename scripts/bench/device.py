"""A device as the benchmark sees it: events to time by, and the two ceilings to be measured beside.

Times are the device's own, between two events around many calls, so what the host does meanwhile
counts only as far as the device waits for it, as it does in training.
"""

import time

import numpy as np
from bench.timing import LEAST_SECONDS

from minisca.backends import get_backend, name_of

#: Bytes that the copy reads, and writes once more; and the side of the product's matrices.
COPY_BYTES = 1 << 30
PRODUCT_SIDE = 8192


class Device:
    """Of one backend: its arrays and operations (`backend`), events, a copy and a product.

    An event needs `record()`; `milliseconds(start, end)` waits for the second.
    """

    def __init__(self, backend):
        self.backend = backend
        self.name = name_of(backend)

    def seconds(self, call, count):
        """Mean seconds of the device in `count` calls."""
        start, end = self.event(), self.event()
        start.record()
        for _ in range(count):
            call()
        end.record()
        return self.milliseconds(start, end) / 1e3 / count

    def copy(self, n_bytes):
        """A call that copies an array of so many bytes, and the bytes that it moves."""
        source = self.backend.empty((n_bytes // 4,), "float32")
        target = self.backend.copy(source)
        return lambda: self.backend.copy_into_(target, source), 2 * (n_bytes // 4 * 4)

    def product(self, rows, depth, columns):
        """A call that multiplies matrices by the vendor's library; None where there is none."""
        return None

    def memory(self, call):
        """Bytes that a call needs at once, its results included; None where nothing tells."""
        return None


class CuPyDevice(Device):
    def __init__(self, backend):
        super().__init__(backend)
        import cupy

        self.cupy = cupy
        self.event = cupy.cuda.Event

    def milliseconds(self, start, end):
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, end)

    def memory(self, call):
        """By what CuPy's pool grows: what a call gives back stays in it."""
        pool = self.cupy.get_default_memory_pool()
        pool.free_all_blocks()
        before = pool.total_bytes()
        call()
        return pool.total_bytes() - before

    def product(self, rows, depth, columns):
        a, b = (self.cupy.ones(shape, "float32") for shape in ((rows, depth), (depth, columns)))
        out = self.cupy.empty((rows, columns), "float32")
        return lambda: self.cupy.matmul(a, b, out=out)

    def description(self):
        runtime, number = self.cupy.cuda.runtime, self.cupy.cuda.Device().id
        properties = runtime.getDeviceProperties(number)
        return {
            "name": properties["name"].decode(),
            "compute_capability": f"{properties['major']}.{properties['minor']}",
            "memory_gib": round(properties["totalGlobalMem"] / 2**30, 1),
            "driver": runtime.driverGetVersion(),
            "cupy": self.cupy.__version__,
        }


class NumbaDevice(Device):
    def __init__(self, backend):
        super().__init__(backend)
        from numba import cuda

        self.cuda = cuda

    def event(self):
        return self.cuda.event(timing=True)

    def milliseconds(self, start, end):
        end.synchronize()
        return self.cuda.event_elapsed_time(start, end)

    def product(self, rows, depth, columns):
        """By CuPy's or PyTorch's copy of cuBLAS: Numba has none of its own."""
        try:
            return CuPyDevice(self.backend).product(rows, depth, columns)
        except ImportError:
            return _torch_product(rows, depth, columns)

    def description(self):
        device = self.cuda.get_current_device()
        name = device.name
        return {
            "name": name.decode() if isinstance(name, bytes) else name,
            "compute_capability": ".".join(map(str, device.compute_capability)),
            "memory_gib": round(self.cuda.current_context().get_memory_info().total / 2**30, 1),
        }


def _torch_product(rows, depth, columns):
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    a = torch.ones((rows, depth), device="cuda")
    b = torch.ones((depth, columns), device="cuda")
    return lambda: a @ b


def open_device(name):
    """The `Device` of the backend of that name.

    Raises ImportError or RuntimeError, saying what it takes, where it does not run.
    """
    backend = get_backend(name)
    return {"cupy": CuPyDevice, "numba_cuda": NumbaDevice}[name](backend)


def peer_on_device(torch):
    """PyTorch and its name of the device: at its best in float32; None where it has no device."""
    if torch is None or not torch.cuda.is_available():
        return None, None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return torch, "cuda"


def take_turns_on(device, calls, repetitions):
    """Seconds of the device in each of `calls`, {name: function}, in turn after a warm-up.

    Returns {name: [seconds of a call, ...]}.
    """
    counts = {}
    for name, call in calls.items():
        call()  # compiles, allocates
        counts[name] = max(1, round(LEAST_SECONDS / max(device.seconds(call, 1), 1e-6)))
    seconds = {name: [] for name in calls}
    for _ in range(repetitions):
        for name, call in calls.items():
            seconds[name].append(device.seconds(call, counts[name]))
    return seconds


def first_call(call, device):
    """Wall-clock seconds of a first call, compilation included, until the device is done."""
    start = time.perf_counter()
    call()
    device.seconds(lambda: None, 1)  # waits
    return time.perf_counter() - start


def to_host(backend, arrays):
    """{name: array} or a tuple of arrays as NumPy arrays."""
    if isinstance(arrays, dict):
        return {name: np.asarray(backend.to_host(array)) for name, array in arrays.items()}
    return tuple(np.asarray(backend.to_host(array)) for array in arrays)
