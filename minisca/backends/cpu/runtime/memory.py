"""Arrays for kernels: contiguous, aligned, and large ones in memory that is used again."""

import math
import sys
import threading

import numpy as np

from minisca.backends.cpu.runtime.compiling import kernel

#: Arrays smaller than this come from the allocator, which recycles small memory by itself.
RECYCLED_BYTES = 1 << 20
#: A buffer that so many requests have passed by is given back.
PATIENCE = 64


def plain(*arrays):
    """The arrays, C-contiguous and writeable, copied only where they are not.

    A kernel is compiled anew for every kind of array. So there is one kind.
    """
    return [
        array if array.flags.carray else np.require(array, requirements=["C", "W", "A"])
        for array in arrays
    ]


@kernel
def aligned_zeros(n, dtype):
    """n zeros that begin at a multiple of 64 bytes, so that no vector lies across two cache lines.

    A vector that does takes twice as long to read.
    """
    zeros = np.zeros(n + 16, dtype)
    start = -zeros.ctypes.data % 64 // zeros.itemsize
    return zeros[start : start + n]


class Recycler:
    """Memory of arrays that nobody refers to any longer, for new arrays of the same size.

    The first write to each page of new memory is slow. The gradients of a deep layer take hundreds
    of megabytes: there it would take longer than computing them.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._buffers = []
        self._passed_by = []

    def empty(self, shape, dtype):
        """An array like `np.empty`'s, beginning at a multiple of 64 bytes."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if n_bytes < RECYCLED_BYTES:
            buffer = np.empty(n_bytes + 64, np.uint8)
        else:
            with self._lock:
                buffer = self._take(n_bytes + 64)
        start = -buffer.ctypes.data % 64
        return buffer[start : start + n_bytes].view(dtype).reshape(shape)

    def _take(self, n_bytes):
        # an array refers to the buffer that it is a view of: two references are this list's
        # and getrefcount's own
        free = [sys.getrefcount(self._buffers[i]) == 2 for i in range(len(self._buffers))]
        fitting = [i for i, is_free in enumerate(free) if is_free]
        fitting = [i for i in fitting if self._buffers[i].nbytes == n_bytes]
        taken = fitting[0] if fitting else None
        self._passed_by = [
            0 if i == taken or not is_free else passed_by + 1
            for i, (is_free, passed_by) in enumerate(zip(free, self._passed_by, strict=True))
        ]
        buffer = np.empty(n_bytes, np.uint8) if taken is None else self._buffers[taken]
        kept = [i for i, passed_by in enumerate(self._passed_by) if passed_by < PATIENCE]
        self._buffers = [self._buffers[i] for i in kept]
        self._passed_by = [self._passed_by[i] for i in kept]
        if taken is None:
            self._buffers.append(buffer)
            self._passed_by.append(0)
        return buffer


recycler = Recycler()
