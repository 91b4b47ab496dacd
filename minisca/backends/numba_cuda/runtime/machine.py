"""The machine as Numba shows it: whether there is a device, and memory of it."""

import functools
import math

import numpy as np

try:
    import numba_cuda  # noqa: F401  (the package that provides numba.cuda)
except ImportError as error:
    raise ImportError(
        "the backend 'numba_cuda' needs the package numba-cuda: pip install minisca[numba-cuda] "
        "(backend='cpu' runs everywhere)"
    ) from error
from numba import cuda
from numba.cuda.cudadrv.driver import CudaAPIError


@functools.cache
def is_available():
    """Whether there is a device to run on."""
    return cuda.is_available()


def require():
    """Raise RuntimeError without a device, saying what it takes."""
    if not is_available():
        raise RuntimeError(
            "the backend 'numba_cuda' found no CUDA device; it needs an NVIDIA GPU with a driver "
            "(backend='cpu' runs everywhere)"
        )


def free_bytes():
    """Memory of the device that nobody uses."""
    return cuda.current_context().get_memory_info().free


def allocate(shape, dtype, make):
    """What `make()` returns, a new array; MemoryError says what would fit, if it does not."""
    require()
    try:
        return make()
    except CudaAPIError as error:
        free, n = free_bytes(), math.prod(shape[:1])
        row = math.prod(shape[1:]) * np.dtype(dtype).itemsize
        raise MemoryError(
            f"an array of shape {shape} and dtype {dtype}, {n * row} bytes, was asked of the "
            f"device, which has {free} bytes free: room for at most {free // max(1, row)} instead "
            f"of {n} along its first axis ({error})"
        ) from error
