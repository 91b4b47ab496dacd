"""What an operation does with its arguments first, arrays of zeros, and arrays as one row."""

from numba import cuda

from minisca.backends import boundary
from minisca.backends.numba_cuda.device import empty, to_device
from minisca.backends.numba_cuda.runtime.launching import launch_over

operation = boundary.operation(to_device)


def flat(*arrays):
    """The numbers of each of some C-contiguous arrays as one row."""
    return [array.reshape(array.size) for array in arrays]


def zeros(shape, dtype):
    """A new array of zeros on the device. Raises as `empty` does."""
    array = empty(shape, dtype)
    launch_over(_fill, array.size, *flat(array))
    return array


@cuda.jit
def _fill(array):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        array[i] = 0
