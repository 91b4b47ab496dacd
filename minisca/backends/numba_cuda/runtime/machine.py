"""The machine as Numba shows it: whether there is a device, and memory of it."""

import functools

try:
    import numba_cuda  # the package that provides numba.cuda
except ImportError as error:
    raise ImportError(
        "the backend 'numba_cuda' needs the package numba-cuda: pip install minisca[numba-cuda] "
        "(backend='cpu' runs everywhere)"
    ) from error
import numpy
from numba import cuda
from numba.cuda.core import config
from numba.cuda.cudadrv.driver import CudaAPIError

from minisca.backends.devices import no_device, no_room

if not config.ENABLE_CUDASIM:  # the simulator compiles nothing
    # Its first compilation would import this, and fail in the midst of a launch.
    try:
        import numba.cuda.np.arrayobj  # noqa: F401
    except AttributeError as error:
        raise ImportError(
            f"the backend 'numba_cuda' cannot compile: numba-cuda {numba_cuda.__version__} does "
            f"not go with NumPy {numpy.__version__} ({error}); pip install minisca[numba-cuda] "
            "installs two that do (backend='cpu' runs everywhere)"
        ) from error


@functools.cache
def is_available():
    """Whether there is a device to run on."""
    return cuda.is_available()


def require():
    """Raise RuntimeError without a device, saying what it takes."""
    if not is_available():
        raise no_device("numba_cuda")


def is_here(array):
    """Whether an array of Numba's is on the current device."""
    if not hasattr(array, "gpu_data"):  # Numba's simulator has one device
        return True
    return array.gpu_data.context.device.id == cuda.current_context().device.id


def free_bytes():
    """Memory of the device that nobody uses."""
    return cuda.current_context().get_memory_info().free


def pinned(shape, dtype):
    """An array of the host from which copies are fastest. MemoryError where there is no room."""
    require()
    try:
        return cuda.pinned_array(shape, dtype)
    except CudaAPIError as error:
        raise MemoryError(f"the host has no pinned memory for {dtype} {shape}: {error}") from error


def allocate(shape, dtype, make):
    """What `make()` returns, a new array; MemoryError says what would fit, if it does not."""
    require()
    try:
        return make()
    except CudaAPIError as error:
        raise no_room(shape, dtype, free_bytes(), error) from error
