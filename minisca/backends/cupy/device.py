"""Arrays on the device, kernels from their texts, and the one way to launch them.

`platform` is the only place that knows CuPy. The tests put another one there, which runs the same
kernels on NumPy arrays; all else, in this package too, is the same with both.
"""

import functools
import importlib.resources
import importlib.util
import math
import re

import numpy as np

#: Threads of a block whose work has no shape of its own.
THREADS = 256
WARP = 32
#: Blocks of a grid, at most (of its first axis, the only one that is used).
MAX_BLOCKS = 2**31 - 1
#: The largest number of anything that kernels count in int, with room for half-empty tiles.
MOST_COUNTED = 2**31 - 2**10
#: Dynamic shared memory that every block has without asking, besides some of fixed size.
GRANTED_BYTES = 40 << 10
#: Memory for what is stored on the way to a result, a chunk of images at a time.
CHUNK_BYTES = 256 << 20

_INSTALL = (
    "the backend 'cupy' needs the package CuPy: pip install minisca[cupy] "
    "(backend='cpu' runs everywhere)"
)


class CuPy:
    """The machine as CuPy shows it; CuPy is imported when it is first asked for."""

    @functools.cached_property
    def xp(self):
        """The module of arrays."""
        try:
            import cupy
        except ImportError as error:
            raise ImportError(_INSTALL) from error
        if not cupy.cuda.is_available():
            raise RuntimeError(
                "the backend 'cupy' found no CUDA device; it needs an NVIDIA GPU with a driver "
                "(backend='cpu' runs everywhere)"
            )
        return cupy

    def is_available(self):
        """Whether CuPy is installed and finds a device."""
        if importlib.util.find_spec("cupy") is None:
            return False
        import cupy

        return cupy.cuda.is_available()

    def to_host(self, array):
        """`array` as a NumPy array; it waits for the kernels before it."""
        return self.xp.asnumpy(array)

    def raw_kernel(self, code, name, options):
        """The kernel, compiled when it is first launched. CuPy adds the option -ftz=true."""
        return self.xp.RawKernel(code, name, options)

    @functools.cached_property
    def shared_limit(self):
        """Bytes of shared memory that a block may have, once it has asked for them."""
        return self.xp.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"]

    @property
    def free_bytes(self):
        """Memory of the device that nobody uses."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return free + self.xp.get_default_memory_pool().free_bytes()

    @functools.cached_property
    def failures(self):
        """What a launch or a wait raises, and what an allocation that does not fit raises."""
        cuda = self.xp.cuda
        launch = (cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError)
        return launch, (cuda.memory.OutOfMemoryError,)


platform = CuPy()


def is_available():
    """Whether there is a device to run on."""
    return platform.is_available()


def require():
    """Raise ImportError without CuPy, RuntimeError without a device, saying what to do."""
    _ = platform.xp


# Arrays -----------------------------------------------------------------------------------


def to_device(array):
    """`array` on the device, C-contiguous: itself if it is that already, or a copy.

    Raises ImportError without CuPy, RuntimeError without a device, MemoryError without room.
    """
    return _allocate(array.shape, array.dtype, lambda: platform.xp.asarray(array, order="C"))


def on_device(*arrays):
    """All of `arrays` on the device."""
    return [to_device(array) for array in arrays]


def to_host(array):
    """`array` as a NumPy array: itself if it is one, or a copy.

    It waits for the kernels that were launched; raises RuntimeError if one of them failed.
    """
    if isinstance(array, np.ndarray):
        return array
    launch_failures, _ = platform.failures
    try:
        return platform.to_host(array)
    except launch_failures as error:
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
    array[...] = source


def free_bytes():
    """Memory of the device that nobody uses."""
    return platform.free_bytes


def empty(shape, dtype):
    """A new array on the device, not initialised. Raises as `to_device` does."""
    return _allocate(shape, np.dtype(dtype), lambda: platform.xp.empty(shape, dtype))


def zeros(shape, dtype):
    """A new array of zeros on the device. Raises as `to_device` does."""
    return _allocate(shape, np.dtype(dtype), lambda: platform.xp.zeros(shape, dtype))


def _allocate(shape, dtype, allocate):
    _, out_of_memory = platform.failures
    try:
        return allocate()
    except out_of_memory as error:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        free, row = platform.free_bytes, math.prod(shape[1:]) * dtype.itemsize
        raise MemoryError(
            f"an array of shape {shape} and dtype {dtype}, {math.prod(shape[:1]) * row} "
            f"bytes, was asked of the device, which has {free} bytes free: room for at most "
            f"{free // max(1, row)} instead of {math.prod(shape[:1])} along its first axis"
        ) from error


def chunks(n, bytes_per_item):
    """Slices that cover range(n), each of as many items as fit into CHUNK_BYTES (at least one)."""
    step = max(1, CHUNK_BYTES // bytes_per_item)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


# Kernels ----------------------------------------------------------------------------------


def options(dtype, **macros):
    """Options of a kernel's compilation: its type of numbers, and macros in a fixed order."""
    macros["REAL"] = {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
    return ("-std=c++17", *(f"-D{name}={macros[name]}" for name in sorted(macros)))


@functools.cache
def source(file):
    """The text of kernels/`file`, its own `#include "..."` lines replaced by what they name."""
    text = importlib.resources.files(__package__).joinpath("kernels", file).read_text("utf-8")
    return re.sub(r'^#include "(.+)"$', lambda match: source(match[1]), text, flags=re.MULTILINE)


@functools.cache
def _kernel(on, file, name, options):
    return on.raw_kernel(source(file), name, options)


def ints(*counts):
    """Counts as arguments of type int. Raises ValueError for one that is too large to be one."""
    for count in counts:
        if count > MOST_COUNTED:
            raise ValueError(
                f"{count} is more than the {MOST_COUNTED} places of an image, maps, weights of a "
                "filter or slots of a code that kernels count; pass smaller images or fewer maps"
            )
    return [np.int32(count) for count in counts]


def launch(file, name, options, n_blocks, n_threads, args, shared_bytes=0):
    """Run kernel `name` of kernels/`file` in `n_blocks` blocks of `n_threads` threads.

    Raises RuntimeError, naming the kernel and its launch, if the device refuses it.
    """
    what = f"kernel {name} on {n_blocks} blocks of {n_threads} threads"
    if n_blocks > MAX_BLOCKS:
        raise ValueError(f"{what}: a grid has at most {MAX_BLOCKS}; pass fewer images at a time")
    launch_failures, out_of_memory = platform.failures
    try:
        kernel = _kernel(platform, file, name, options)
        if shared_bytes > GRANTED_BYTES:
            kernel.max_dynamic_shared_size_bytes = shared_bytes
        kernel((n_blocks,), (n_threads,), tuple(args), shared_mem=shared_bytes)
    except launch_failures + out_of_memory as error:
        raise RuntimeError(
            f"{what} with {shared_bytes} bytes of shared memory failed: {error}"
        ) from error


def launch_over(size, file, name, options, args):
    """Run the kernel with one thread an element of `size`, which it takes as its last argument."""
    n_blocks = min(-(-size // THREADS), MAX_BLOCKS)
    launch(file, name, options, n_blocks, THREADS, (*args, np.int64(size)))


def threads_for(n):
    """Threads of a block that has `n` things to do at once: whole warps, at most THREADS."""
    return min(THREADS, -(-n // WARP) * WARP)
