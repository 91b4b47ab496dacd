"""Arrays on the device, the sizes of thread blocks, and the one way to launch a kernel.

Blocks and grids are one-dimensional, and every kernel strides over its items: any grid computes
any size. What a block computes depends on its size but never on the grid's.
"""

import functools
import math
import warnings

import numpy as np

try:
    import numba_cuda  # noqa: F401  (the package that provides numba.cuda)
except ImportError as error:
    raise ImportError(
        "the backend 'numba_cuda' needs the package numba-cuda: pip install minisca[numba-cuda] "
        "(backend='cpu' runs everywhere)"
    ) from error
from numba import cuda
from numba.cuda.cudadrv.driver import CudaAPIError

# Small problems have small grids, and nobody can do anything about it.
warnings.filterwarnings("ignore", message="Grid size .* will likely result in GPU under-util")

#: Threads of a block, at most. Any number works; multiples of a warp are fast.
THREADS = 128
WARP = 32
#: Blocks of a grid, at most (the device takes 2**31 - 1).
MAX_BLOCKS = 1 << 20
#: Shared memory of a block that every device grants without being asked for more.
SHARED_BYTES = 48 << 10
#: Memory for feature maps that are stored on the way to a selection, a chunk of images at a time.
CHUNK_BYTES = 256 << 20


@functools.cache
def is_available():
    """Whether there is a device to run on."""
    return cuda.is_available()


def to_device(array):
    """`array` on the device, C-contiguous: itself if it is there already, or a copy.

    Raises RuntimeError if there is no device, MemoryError if there is no room.
    """
    if getattr(array, "__cuda_ndarray__", False):
        return array
    array = np.ascontiguousarray(array)
    return _allocate(array.shape, array.dtype, lambda: cuda.to_device(array))


def on_device(*arrays):
    """All of `arrays` on the device."""
    return [to_device(array) for array in arrays]


def to_host(array):
    """`array` as a NumPy array: itself if it is one, or a copy.

    It waits for the kernels that were launched; raises RuntimeError if one of them failed.
    """
    if not getattr(array, "__cuda_ndarray__", False):
        return np.asarray(array)
    try:
        return array.copy_to_host()
    except Exception as error:  # of numba.cuda or of cuda.core, which it calls
        raise RuntimeError(f"a kernel failed on the device: {error}") from error


def copy(array):
    """A copy of `array`, where it is."""
    if isinstance(array, np.ndarray):
        return array.copy()
    copied = empty(array.shape, array.dtype)
    copy_into_(copied, array)
    return copied


def copy_into_(array, source):
    """array <- source, both on the device, or both on the host."""
    if isinstance(array, np.ndarray):
        array[...] = source
    else:
        array.copy_to_device(source)


def free_bytes():
    """Memory of the device that nobody uses."""
    return cuda.current_context().get_memory_info().free


def empty(shape, dtype):
    """A new array on the device, not initialised. Raises as `to_device` does."""
    shape = tuple(int(side) for side in np.atleast_1d(shape))
    return _allocate(shape, np.dtype(dtype), lambda: cuda.device_array(shape, dtype))


def zeros(shape, dtype):
    """A new array of zeros on the device. Raises as `to_device` does."""
    array = empty(shape, dtype)
    launch_over(array.size, _fill, array.reshape(array.size))
    return array


@cuda.jit
def _fill(array):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        array[i] = 0


def _allocate(shape, dtype, allocate):
    require()
    try:
        return allocate()
    except CudaAPIError as error:
        free, n = free_bytes(), math.prod(shape[:1])
        row = math.prod(shape[1:]) * dtype.itemsize
        raise MemoryError(
            f"an array of shape {shape} and dtype {dtype}, {n * row} bytes, was asked of the "
            f"device, which has {free} bytes free: room for at most {free // max(1, row)} instead "
            f"of {n} along its first axis ({error})"
        ) from error


def require():
    """Raise RuntimeError without a device, saying what it takes."""
    if not is_available():
        raise RuntimeError(
            "the backend 'numba_cuda' found no CUDA device; it needs an NVIDIA GPU with a driver "
            "(backend='cpu' runs everywhere)"
        )


def launch(kernel, n_items, n_threads, shared_bytes, *args):
    """Run `kernel` with one block an item, or as many as a grid may have, each taking several."""
    n_blocks = min(n_items, MAX_BLOCKS)
    try:
        kernel[n_blocks, n_threads, 0, shared_bytes](*args)
    except Exception as error:  # of numba.cuda or of cuda.core, which it calls
        raise RuntimeError(
            f"the kernel {kernel.__name__} failed on {n_blocks} blocks of {n_threads} "
            f"threads with {shared_bytes} bytes of shared memory: {error}"
        ) from error


def launch_over(size, kernel, *args):
    """Run `kernel` with one thread an element of `size`."""
    launch(kernel, -(-size // THREADS), THREADS, 0, *args)


def threads_for(n):
    """Threads of a block that has `n` things to do at once: whole warps, at most THREADS."""
    return min(THREADS, -(-n // WARP) * WARP)


def chunks(n, bytes_per_item):
    """Slices that cover range(n), each of as many items as fit into CHUNK_BYTES (at least one)."""
    step = max(1, CHUNK_BYTES // bytes_per_item)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
