"""What an operation does with its arguments first, and arrays of zeros."""

import numpy as np

from minisca.backends import boundary
from minisca.backends.cupy.device import to_device
from minisca.backends.cupy.runtime import machine

operation = boundary.operation(to_device)


def zeros(shape, dtype):
    """A new array of zeros on the device. Raises as `empty` does."""
    return machine.allocate(shape, np.dtype(dtype), lambda: machine.platform.xp.zeros(shape, dtype))
