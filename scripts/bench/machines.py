"""What the benchmark measures: the CPU, or a device, each with its clock and its ceilings.

Times of a device are its own, between two events around many calls, so what the host does meanwhile
counts only as far as the device waits for it, as it does in training.
"""

import contextlib
import subprocess
import time

import numba
import numpy as np
from bench.peer import import_torch

from minisca.backends import get_backend, name_of


class Machine:
    """Of one backend: its operations (`backend`), a clock, and what the machine does at most.

    The ceilings are the FLOPs a second of a product of matrices of `product_side`, by the vendor's
    library, and, on a device, the bytes a second of a copy of `copy_bytes`.
    """

    is_device = False
    product_side = 2048
    #: A repetition calls a fast function again and again until about so much time has passed.
    least_seconds = 0.05
    #: Before a repetition: threads of the call before, which wait in a loop, fall asleep.
    pause_seconds = 0.1

    def __init__(self, backend):
        self.backend = backend
        self.name = name_of(backend)

    def hurry(self):
        """From now on measure only so long as to see that everything works."""
        self.least_seconds = self.pause_seconds = 0

    def seconds(self, call, count):
        """Mean seconds of a call in `count` calls."""
        start = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - start) / count

    def ceilings(self, tiny):
        """{name: (a call, what it does)}: the FLOPs of "product"; on a device, bytes of "copy".

        Without "product" where the device has no library for it.
        """
        side = 128 if tiny else self.product_side
        product = self.product(side, side, side)
        return {} if product is None else {"product": (product, 2 * side**3)}

    def product(self, rows, depth, columns):
        """A call that multiplies matrices by the vendor's library; None where there is none."""
        a, b = random_matrices(rows, depth, columns)
        out = np.empty((rows, columns), np.float32)
        return lambda: np.matmul(a, b, out=out)

    def memory(self, call):
        """Bytes that a call needs at once, its results included; None where nothing tells."""

    def description(self):
        """What the device is; None of the CPU, which stands in a section's environment."""


class Device(Machine):
    """An event needs `record()`; `milliseconds(start, end)` waits for the second."""

    is_device = True
    product_side = 8192
    copy_bytes = 1 << 30
    pause_seconds = 0

    def seconds(self, call, count):
        start, end = self.event(), self.event()
        start.record()
        for _ in range(count):
            call()
        end.record()
        return self.milliseconds(start, end) / 1e3 / count

    def ceilings(self, tiny):
        return super().ceilings(tiny) | {"copy": self.copy(1 << 16 if tiny else self.copy_bytes)}

    def copy(self, n_bytes):
        """A call that copies an array of so many bytes, and the bytes that it reads and writes."""
        source = self.backend.empty((n_bytes // 4,), "float32")
        target = self.backend.copy(source)
        return lambda: self.backend.copy_into_(target, source), 2 * (n_bytes // 4 * 4)

    @contextlib.contextmanager
    def profiled(self):
        """A profiler that waits to be told looks at what is done within the block."""
        self.start_profiler()
        yield
        self.stop_profiler()


class CuPyDevice(Device):
    def __init__(self, backend):
        super().__init__(backend)
        import cupy

        self.cupy = cupy
        self.event = cupy.cuda.Event

    def start_profiler(self):
        self.cupy.cuda.runtime.deviceSynchronize()
        self.cupy.cuda.runtime.profilerStart()

    def stop_profiler(self):
        self.cupy.cuda.runtime.deviceSynchronize()
        self.cupy.cuda.runtime.profilerStop()

    def mark(self, name):
        """Launch a kernel of that name, which does nothing."""
        self.cupy.RawKernel(f'extern "C" __global__ void {name}() {{}}', name)((1,), (1,), ())

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
        a, b = map(self.cupy.asarray, random_matrices(rows, depth, columns))
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
            "driver_version": driver_version(),
            "cupy": self.cupy.__version__,
        }


class NumbaDevice(Device):
    def __init__(self, backend):
        super().__init__(backend)
        from numba import cuda

        self.cuda = cuda

    def event(self):
        return self.cuda.event(timing=True)

    def start_profiler(self):
        self.cuda.synchronize()
        self.cuda.profile_start()

    def stop_profiler(self):
        self.cuda.synchronize()
        self.cuda.profile_stop()

    def mark(self, name):
        def nothing():
            pass

        nothing.__name__ = nothing.__qualname__ = name
        self.cuda.jit(nothing)[1, 1]()

    def milliseconds(self, start, end):
        end.synchronize()
        return self.cuda.event_elapsed_time(start, end)

    def product(self, rows, depth, columns):
        """By CuPy's or PyTorch's copy of cuBLAS: Numba has none of its own."""
        with contextlib.suppress(ImportError):
            return CuPyDevice(self.backend).product(rows, depth, columns)
        torch, device = peer_on_device(import_torch(numba.get_num_threads()))
        if torch is None:
            return None
        a, b = (torch.from_numpy(m).to(device) for m in random_matrices(rows, depth, columns))
        return lambda: a @ b

    def description(self):
        device = self.cuda.get_current_device()
        name = device.name
        return {
            "name": name.decode() if isinstance(name, bytes) else name,
            "compute_capability": ".".join(map(str, device.compute_capability)),
            "memory_gib": round(self.cuda.current_context().get_memory_info().total / 2**30, 1),
            "driver_version": driver_version(),
        }


def random_matrices(rows, depth, columns):
    """Of Gaussian numbers, a million that come again: products of equal ones need less power."""
    numbers = np.random.default_rng(0).standard_normal((1 << 20) - 3, np.float32)
    return np.resize(numbers, (rows, depth)), np.resize(numbers[::-1], (depth, columns))


def driver_version():
    """Of NVIDIA's driver; None where its tool does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def open_machine(name):
    """The `Machine` of the backend of that name.

    Raises ImportError or RuntimeError, saying what it takes, where it does not run.
    """
    kinds = {"cpu": Machine, "cupy": CuPyDevice, "numba_cuda": NumbaDevice}
    return kinds[name](get_backend(name))


def peer_on_device(torch):
    """PyTorch and its name of the device: at its best in float32; None where it has no device."""
    if torch is None or not torch.cuda.is_available():
        return None, None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return torch, "cuda"
