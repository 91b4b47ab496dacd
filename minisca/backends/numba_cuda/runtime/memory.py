"""Memory of the device that is kept and given again: after the first step none is allocated.

The driver takes longer for an allocation than for a launch, and waits for the device to free one.
Memory is given again to arrays of the same size in bytes, when neither the array that had it nor a
view of it is left: what was launched with them comes before what is launched later.
"""

import math
import threading
from collections import defaultdict

from numba import cuda
from numba.cuda.core import config
from numba.cuda.cudadrv import devicearray, driver

from minisca.backends.numba_cuda.runtime.strides import canonical


class _Pool(threading.local):
    """The memory that is free, by its size in bytes: each thread's own, as streams may be."""

    def __init__(self):
        self.free = defaultdict(list)


_pool = _Pool()
#: What arrays stand on, by address: an array refers to it weakly.
_lent = {}


def new_array(shape, dtype):
    """A device array, its numbers not set. Raises CudaAPIError where there is no room."""
    if config.ENABLE_CUDASIM:  # the simulator's memory is the host's
        return cuda.device_array(shape, dtype)
    memory, strides = _memory(math.prod(shape) * dtype.itemsize), canonical(shape, dtype.itemsize)
    return devicearray.DeviceNDArray(shape, strides, dtype, gpu_data=memory)


def _memory(n_bytes):
    """Memory of that size, free or new, that is free again when no array refers to it."""
    if n_bytes == 0:
        return None
    of_size = _pool.free[n_bytes]
    memory = of_size.pop() if of_size else _allocate(n_bytes)
    address = int(memory.device_pointer)

    def give_back():
        del _lent[address]
        of_size.append(memory)

    _lent[address] = driver.AutoFreePointer(
        memory.context, memory.device_pointer, n_bytes, finalizer=give_back
    )
    return _lent[address].own()


def _allocate(n_bytes):
    context = cuda.current_context()
    try:
        return context.memalloc(n_bytes)
    except driver.CudaAPIError:
        if not free_bytes():
            raise
        release()
        return context.memalloc(n_bytes)


def free_bytes():
    """Bytes that are allocated and that nobody uses."""
    return sum(n_bytes * len(of_size) for n_bytes, of_size in _pool.free.items())


def release():
    """Give what nobody uses back to the driver."""
    for of_size in _pool.free.values():
        of_size.clear()
