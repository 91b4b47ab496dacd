"""Arrays on the device, and how they get there and back: `minisca.backends.interface.Support`."""

import numpy as np

from minisca.backends import boundary
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.machine import allocate
from minisca.backends.operands import as_real_array, check_new


def to_device(array):
    """See `minisca.backends.interface.Support.to_device`.

    Raises ImportError without CuPy, RuntimeError without a device, MemoryError without room.
    """
    if machine.platform.is_there(array):
        return array
    array = as_real_array("array", array) if _is_of_host(array) else array
    return allocate(array.shape, array.dtype, lambda: machine.platform.xp.asarray(array, order="C"))


def to_host(array):
    """See `minisca.backends.interface.Support.to_host`.

    It waits for the kernels that were launched; raises RuntimeError if one of them failed.
    """
    if _is_of_host(array):
        return as_real_array("array", array)
    launch_failures, _ = machine.platform.failures
    try:
        return machine.platform.to_host(array)
    except launch_failures as error:
        raise RuntimeError(f"a kernel failed on the device: {error}") from error


def _is_of_host(array):
    return isinstance(array, np.ndarray | np.generic) or not hasattr(array, "dtype")


def holds(array):
    """See `minisca.backends.interface.Support.holds`."""
    return machine.platform.holds(array)


def empty(shape, dtype):
    """See `minisca.backends.interface.Support.empty`."""
    shape, dtype = check_new(shape, dtype)
    return allocate(shape, dtype, lambda: machine.platform.xp.empty(shape, dtype))


def pinned(shape, dtype):
    """See `minisca.backends.interface.Support.pinned`."""
    shape, dtype = check_new(shape, dtype)
    launch_failures, out_of_memory = machine.platform.failures
    try:
        return machine.platform.pinned(shape, dtype)
    except launch_failures + out_of_memory as error:
        raise MemoryError(f"the host has no pinned memory for {dtype} {shape}: {error}") from error


def send(array):
    """See `minisca.backends.interface.Support.send`."""
    array = np.require(as_real_array("array", array), requirements="C")
    begin = _failing(lambda: machine.platform.send(array))
    return _failing(allocate(array.shape, array.dtype, begin))


def fetch(array):
    """See `minisca.backends.interface.Support.fetch`."""
    if _is_of_host(array):
        return lambda: array
    return _failing(_failing(lambda: machine.platform.fetch(to_device(array)))())


def _failing(function):
    """The function, but that RuntimeError says where the device failed, a kernel before it too."""

    def called():
        launch_failures, _ = machine.platform.failures
        try:
            return function()
        except launch_failures as error:
            raise RuntimeError(f"a copy or a kernel failed on the device: {error}") from error

    return called


def copy(array):
    """See `minisca.backends.interface.Support.copy`."""
    if _is_of_host(array):
        return as_real_array("array", array).copy()
    copied = empty(array.shape, array.dtype)
    copy_into_(copied, array)
    return copied


@boundary.operation(to_device)
def copy_into_(array, source):
    """See `minisca.backends.interface.Support.copy_into_`."""
    array[...] = to_host(source) if isinstance(array, np.ndarray) else source


def free_bytes():
    """See `minisca.backends.interface.Support.free_bytes`."""
    return machine.platform.free_bytes
