"""The CuPy backend without a GPU: the same kernels and launches, run by the emulator on NumPy.

Memory of the device is as closed as a real one's: its arrays are no NumPy arrays, nothing computes
with them but kernels, and whatever crosses over is counted.
"""

import math
from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from minisca.backends.cupy.runtime import machine
from tests.support import emulated_streams as streams
from tests.support.cuda_emulator import COMPILER, OPT_IN_LIMIT, LaunchError, RawKernel


class DeviceArray:
    """What the backend and its callers use of `cupy.ndarray`; `memory` is the emulator's alone."""

    def __init__(self, memory, block=None):
        self.memory = memory
        self.data = SimpleNamespace(mem=block or streams.Block())
        if self.data.mem.whole is None:
            self.data.mem.whole = memory

    __cuda_array_interface__ = property(lambda self: {"shape": self.shape})
    shape = property(lambda self: self.memory.shape)
    dtype = property(lambda self: self.memory.dtype)
    size = property(lambda self: self.memory.size)
    ndim = property(lambda self: self.memory.ndim)

    def __len__(self):
        return len(self.memory)

    def __getitem__(self, rows):
        part = self.memory[rows]
        assert isinstance(part, np.ndarray), "a number would be read from the device"
        return DeviceArray(part, self.data.mem)

    def __setitem__(self, rows, source):
        assert isinstance(source, DeviceArray), "only arrays of the device are copied on it"
        assert (source.shape, source.dtype) == (self.memory[rows].shape, self.dtype)
        streams.launch(np.copyto, (self[rows], source))

    def reshape(self, *shape):
        reshaped = self.memory.reshape(*shape)
        assert np.shares_memory(reshaped, self.memory)
        return DeviceArray(reshaped, self.data.mem)

    def __array__(self, *_, **__):
        raise TypeError("an array of the device is not converted to NumPy's without being asked to")


class OthersArray:
    """An array of the device that another library made, as PyTorch does: its dtype is its own."""

    def __init__(self, memory):
        self.memory, self.shape, self.dtype = memory, memory.shape, f"other.{memory.dtype}"
        self.__cuda_array_interface__ = {"shape": self.shape, "strides": None}


class Arrays:
    """The functions that the backend takes from CuPy. New memory holds nothing useful."""

    def __init__(self, transfers):
        self.transfers = transfers

    def asarray(self, array, order):
        assert order == "C"
        if isinstance(array, DeviceArray):
            return DeviceArray(array.memory.copy())
        if isinstance(array, OthersArray):
            return DeviceArray(array.memory)
        streams.refuse_while_recording("an array of the host would be read once, and never again")
        self.transfers["in"] += 1
        self.transfers["bytes in"] += array.nbytes
        return DeviceArray(np.array(array, order="C"))

    def zeros(self, shape, dtype):
        zeros = self.empty(shape, dtype)
        streams.launch(lambda memory: memory.fill(0), (zeros,))
        return zeros

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        nothing = np.nan if dtype.kind == "f" else np.iinfo(dtype).min // 3
        return DeviceArray(np.full(shape, nothing, dtype), streams.block())


class Kernel(RawKernel):
    """A kernel, given arrays of the device and NumPy's numbers; counted when launched."""

    launches: ClassVar = Counter()

    def __call__(self, grid, block, args, *, shared_mem=0):
        assert not any(isinstance(arg, np.ndarray) for arg in args), "an array of the host"
        streams.launch(partial(self._run, grid, block, shared_mem), args)

    def _run(self, grid, block, shared_mem, *args):
        super().__call__(grid, block, args, shared_mem=shared_mem)
        self.launches[self.name] += 1


class Emulator:
    """What `minisca.backends.cupy.runtime.machine.CuPy` is, on the CPU.

    transfers: how often, and how many bytes, went "in" and "out".
    """

    shared_limit = OPT_IN_LIMIT
    compute_capability = 90
    failures = (LaunchError,), ()
    free_bytes = 1 << 30

    def __init__(self):
        self.transfers = Counter()
        self.xp = Arrays(self.transfers)

    def is_available(self):
        return COMPILER is not None

    def is_there(self, array):
        return isinstance(array, DeviceArray) and array.memory.flags.c_contiguous

    def holds(self, array):
        return isinstance(array, DeviceArray | OthersArray)

    def to_host(self, array):
        streams.refuse_while_recording("the host would wait for what is only recorded")
        self.transfers["out"] += 1
        self.transfers["bytes out"] += math.prod(array.shape) * array.dtype.itemsize
        return array.memory.copy()

    def pinned(self, shape, dtype):
        return np.empty(shape, dtype)

    def send(self, array):
        there = self.xp.asarray(array, "C")
        return lambda: there

    def fetch(self, array):
        """As late as it may be: until then the array must stay as it is."""
        return lambda: self.to_host(array)

    stream, on_stream = streams.Stream, staticmethod(streams.on_stream)
    current_stream = staticmethod(streams.current)
    pool, allocating = streams.Pool, staticmethod(streams.allocating)

    def raw_kernel(self, code, name, options):
        return Kernel(code, name, options)


def install():
    """Let the CuPy backend run on the emulator in this process, if there is no device.

    Returns whether it does: the emulator needs g++.
    """
    if machine.is_available() or COMPILER is None:
        return False
    machine.platform = Emulator()
    return True
