"""Arrays larger than the machine's memory: what nobody has touched takes none."""

import math
import mmap
import os

import numpy as np

NO_RESERVE = 0x4000  # Linux's MAP_NORESERVE: the module has it from Python 3.13 on


def can_be_sparse():
    """Whether the system gives away addresses without memory, and tells which pages are in use."""
    try:
        sparse_zeros((1 << 36,), np.uint8)
    except OSError:
        return False
    return os.access("/proc/self/pagemap", os.R_OK)


def sparse_zeros(shape, dtype):
    """An array of zeros whose pages come into being when they are first written to.

    Raises OSError where the system does not give away addresses without memory behind them.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
    memory = mmap.mmap(-1, max(n_bytes, 1), flags=flags)
    memory.madvise(mmap.MADV_NOHUGEPAGE)  # a number would take 2 MiB
    return np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)
