"""Arrays on the device, and how they get there and back: `minisca.backends.interface.Support`."""

import functools

import numpy as np

from minisca.backends import boundary
from minisca.backends.numba_cuda.runtime import machine, memory
from minisca.backends.numba_cuda.runtime.machine import allocate
from minisca.backends.numba_cuda.runtime.strides import arrange
from minisca.backends.operands import as_real_array, check_new


def to_device(array):
    """See `minisca.backends.interface.Support.to_device`.

    Raises RuntimeError if there is no device, MemoryError if there is no room.
    """
    if getattr(array, "__cuda_ndarray__", False):
        return arrange(array)
    array = as_real_array("array", array)
    array = array.ravel().reshape(array.shape)  # in C order, with the strides that go with it
    there = empty(array.shape, array.dtype)
    there.copy_to_device(array)
    return there


def to_host(array):
    """See `minisca.backends.interface.Support.to_host`.

    It waits for the kernels that were launched; raises RuntimeError if one of them failed.
    """
    if not getattr(array, "__cuda_ndarray__", False):
        return as_real_array("array", array)
    try:
        return array.copy_to_host()
    except Exception as error:  # of numba.cuda or of cuda.core, which it calls
        raise RuntimeError(f"a kernel failed on the device: {error}") from error


def holds(array):
    """See `minisca.backends.interface.Support.holds`."""
    return bool(getattr(array, "__cuda_ndarray__", False)) and machine.is_here(array)


def empty(shape, dtype):
    """See `minisca.backends.interface.Support.empty`."""
    check = _check_known if isinstance(shape, tuple) else check_new
    shape, dtype = check(shape, dtype)
    return allocate(shape, dtype, lambda: memory.new_array(shape, dtype))


#: The same, quicker: a step asks for the same arrays again and again.
_check_known = functools.lru_cache(1024)(check_new)


def pinned(shape, dtype):
    """See `minisca.backends.interface.Support.pinned`."""
    shape, dtype = check_new(shape, dtype)
    return machine.pinned(shape, dtype)


def send(array):
    """See `minisca.backends.interface.Support.send`: this column waits at once."""
    there = to_device(array)
    return lambda: there


def fetch(array):
    """See `minisca.backends.interface.Support.fetch`: this column waits at once."""
    here = to_host(array)
    return lambda: here


def copy(array):
    """See `minisca.backends.interface.Support.copy`."""
    if not getattr(array, "__cuda_ndarray__", False):
        return as_real_array("array", array).copy()
    copied = empty(array.shape, array.dtype)
    copy_into_(copied, array)
    return copied


@boundary.operation(to_device)
def copy_into_(array, source):
    """See `minisca.backends.interface.Support.copy_into_`."""
    if isinstance(array, np.ndarray):
        array[...] = to_host(source)
    else:
        array.copy_to_device(source)


def free_bytes():
    """See `minisca.backends.interface.Support.free_bytes`."""
    return machine.free_bytes() + memory.free_bytes()
