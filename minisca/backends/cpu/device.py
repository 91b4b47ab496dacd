"""Arrays on the CPU are where they are computed with: nothing moves.

See `minisca.backends.interface.Support`.
"""

import numpy as np


def to_device(array):
    """See `minisca.backends.interface.Support.to_device`: the array itself."""
    return array


def to_host(array):
    """See `minisca.backends.interface.Support.to_host`: the array itself."""
    return array


def empty(shape, dtype):
    """See `minisca.backends.interface.Support.empty`."""
    return np.empty(shape, dtype)


def copy(array):
    """See `minisca.backends.interface.Support.copy`."""
    return array.copy()


def copy_into_(array, source):
    """See `minisca.backends.interface.Support.copy_into_`."""
    array[...] = source


def free_bytes():
    """See `minisca.backends.interface.Support.free_bytes`: none that is not the host's."""
    return 0
