"""Arrays for kernels: contiguous, aligned, and large ones in memory that is used again."""

import math
import os
import sys
import threading
from ctypes import addressof, c_char

import numpy as np

from minisca.backends.cpu.runtime.compiling import kernel

#: Arrays smaller than this come from the allocator, which recycles small memory by itself.
RECYCLED_BYTES = 1 << 16
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
        self._entries = []  # [buffer, how many requests in a row have passed it by]
        self.unlock()

    def unlock(self):
        """Forget who holds the lock: a thread that a forked child does not have."""
        self._lock = threading.Lock()

    def empty(self, shape, dtype):
        """An array like `np.empty`'s, beginning at a multiple of 64 bytes."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if n_bytes < RECYCLED_BYTES:
            buffer = np.empty(n_bytes + 64, np.uint8)
        else:
            with self._lock:
                buffer = self._take(n_bytes + 64)
        start = -addressof(c_char.from_buffer(buffer)) % 64  # sooner than by buffer.ctypes
        return np.ndarray(shape, dtype, buffer, start)

    def _take(self, n_bytes):
        taken = None
        for entry in self._entries:
            # an array refers to the buffer that it is a view of: two references are the entry's
            # and getrefcount's own
            is_free = sys.getrefcount(entry[0]) == 2
            if is_free and taken is None and entry[0].nbytes == n_bytes:
                taken, is_free = entry[0], False
            entry[1] = entry[1] + 1 if is_free else 0
        self._entries = [entry for entry in self._entries if entry[1] < PATIENCE]
        if taken is None:
            taken = np.empty(n_bytes, np.uint8)
            self._entries.append([taken, 0])
        return taken


recycler = Recycler()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=recycler.unlock)
