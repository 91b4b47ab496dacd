"""Small helpers for arrays: a uniform kind for the compiled kernels, and shares of the work."""

import numpy as np
from numba import njit

#: Working memory that a matrix-product path may use beside its arguments and results.
CHUNK_BYTES = 32 << 20


def plain(*arrays):
    """The arrays, C-contiguous and writeable, copied only where they are not.

    Compiled kernels are specialised for the kind of their arguments: one kind, one compilation.
    """
    return [
        array if array.flags.carray else np.require(array, requirements=["C", "W", "A"])
        for array in arrays
    ]


def chunks(n, bytes_per_item):
    """Slices that cover range(n), each of as many items as fit into CHUNK_BYTES (at least one)."""
    step = max(1, CHUNK_BYTES // bytes_per_item)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


@njit(cache=True)
def aligned_zeros(n, dtype):
    """n zeros that begin at a multiple of 64 bytes: no vector lies across two lines of the cache.

    Half as fast are vectors that do.
    """
    zeros = np.zeros(n + 16, dtype)
    start = -zeros.ctypes.data % 64 // zeros.itemsize
    return zeros[start : start + n]


@njit(cache=True)
def share(index, parts, length):
    """Part `index` of `parts` nearly equal, consecutive parts of range(length)."""
    return index * length // parts, (index + 1) * length // parts
