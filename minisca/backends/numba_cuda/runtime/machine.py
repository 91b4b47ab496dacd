"""The machine as Numba shows it: whether there is a device, and memory of it."""

import functools

try:
    import numba_cuda  # noqa: F401  (the package that provides numba.cuda)
except ImportError as error:
    raise ImportError(
        "the backend 'numba_cuda' needs the package numba-cuda: pip install minisca[numba-cuda] "
        "(backend='cpu' runs everywhere)"
    ) from error
from numba import cuda
from numba.cuda.cudadrv.driver import CudaAPIError

from minisca.backends.devices import no_device, no_room


@functools.cache
def is_available():
    """Whether there is a device to run on."""
    return cuda.is_available()


def require():
    """Raise RuntimeError without a device, saying what it takes."""
    if not is_available():
        raise no_device("numba_cuda")


def free_bytes():
    """Memory of the device that nobody uses."""
    return cuda.current_context().get_memory_info().free


def allocate(shape, dtype, make):
    """What `make()` returns, a new array; MemoryError says what would fit, if it does not."""
    require()
    try:
        return make()
    except CudaAPIError as error:
        raise no_room(shape, dtype, free_bytes(), error) from error
