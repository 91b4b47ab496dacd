"""Arrays on the CPU are where they are computed with: nothing moves.

See `minisca.backends.interface.Support`.
"""

import numpy as np

from minisca.backends.cpu.runtime import operation
from minisca.backends.operands import as_real_array, check_new


def to_device(array):
    """See `minisca.backends.interface.Support.to_device`."""
    array = as_real_array("array", array)
    return array if array.flags.c_contiguous else np.require(array, requirements="C")


def to_host(array):
    """See `minisca.backends.interface.Support.to_host`: the array itself."""
    return as_real_array("array", array)


def holds(array):
    """See `minisca.backends.interface.Support.holds`."""
    return isinstance(array, np.ndarray)


def empty(shape, dtype):
    """See `minisca.backends.interface.Support.empty`."""
    return np.empty(*check_new(shape, dtype))


def pinned(shape, dtype):
    """See `minisca.backends.interface.Support.pinned`."""
    return np.empty(*check_new(shape, dtype))


def send(array):
    """See `minisca.backends.interface.Support.send`: it is there."""
    there = to_device(array)
    return lambda: there


def fetch(array):
    """See `minisca.backends.interface.Support.fetch`: it is here."""
    here = to_host(array)
    return lambda: here


def copy(array):
    """See `minisca.backends.interface.Support.copy`."""
    return as_real_array("array", array).copy()


@operation
def copy_into_(array, source):
    """See `minisca.backends.interface.Support.copy_into_`."""
    array[...] = source


def free_bytes():
    """See `minisca.backends.interface.Support.free_bytes`: none that is not the host's."""
    return 0
