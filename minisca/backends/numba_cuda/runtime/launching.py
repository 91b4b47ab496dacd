"""The sizes of thread blocks, and the one way to launch a kernel.

Grids are one-dimensional, and every kernel strides over its items: any grid computes any size. So
are blocks, but for those of several groups (`kernels.reduce`). What a block computes depends on
its size but never on the grid's.
"""

import warnings

import numpy as np

from minisca.chunks import ceil_div

# Small problems have small grids, and nobody can do anything about it.
warnings.filterwarnings("ignore", message="Grid size .* will likely result in GPU under-util")

#: Threads of a block, at most. Any number works; multiples of a warp are fast.
THREADS = 128
WARP = 32
#: Blocks of a grid, at most (the device takes 2**31 - 1).
MAX_BLOCKS = 1 << 20
#: Shared memory of a block that every device grants without being asked for more.
SHARED_BYTES = 48 << 10


def launch(kernel, n_items, n_threads, *args, shared_bytes=0):
    """Run `kernel` with one block an item, or as many as a grid may have, each taking several.

    n_threads: of a block; a pair of numbers for a block of groups, the first is those of one.
    Raises RuntimeError, naming the kernel, where it cannot be compiled or launched.
    """
    n_blocks = min(n_items, MAX_BLOCKS)
    try:
        _start(kernel, n_blocks, n_threads, shared_bytes, args)
    except Exception as error:  # of numba.cuda or of cuda.core, which it calls
        _check_compiles(kernel, args)
        raise RuntimeError(
            f"the kernel {kernel.__name__} failed on {n_blocks} blocks of {n_threads} "
            f"threads with {shared_bytes} bytes of shared memory: {error}"
        ) from error


def _start(kernel, n_blocks, n_threads, shared_bytes, args):
    _specialised(kernel, args)[n_blocks, n_threads, 0, shared_bytes](*args)


_kernels = {}


def _specialised(kernel, args):
    """The kernel for arguments of these types: Numba would ask for them at every launch, slowly."""
    kinds = kernel, *map(_kind, args)
    if kinds not in _kernels:
        _kernels[kinds] = kernel.specialize(*args)
    return _kernels[kinds]


def _kind(argument):
    """What tells the type of a kernel's argument; arrays are C-contiguous."""
    if isinstance(argument, tuple):
        return tuple(map(_kind, argument))
    dtype = getattr(argument, "dtype", None)
    return (type(argument), dtype, getattr(argument, "ndim", 0))


def _check_compiles(kernel, args):
    """Raise RuntimeError if the kernel cannot be compiled for these arguments."""
    if not hasattr(kernel, "compile"):  # Numba's simulator compiles nothing
        return
    try:
        kernel.compile(tuple(map(kernel.typeof_pyval, args)))
    except Exception as error:
        raise RuntimeError(f"the kernel {kernel.__name__} cannot be compiled: {error}") from error


def launch_over(kernel, size, *args):
    """Run `kernel` with one thread an element of `size`."""
    launch(kernel, ceil_div(size, THREADS), THREADS, *args)


def launch_blocks(kernel, n_items, *args, dtype):
    """Run `kernel` with a block of THREADS threads an item, and shared memory for their numbers."""
    n_bytes = THREADS * np.dtype(dtype).itemsize
    launch(kernel, n_items, THREADS, *args, shared_bytes=n_bytes)


def threads_for(n):
    """Threads of a block that has `n` things to do at once: whole warps, at most THREADS."""
    return min(THREADS, ceil_div(n, WARP) * WARP)


def groups_for(n):
    """Threads of a group that has `n` things to do at once, and groups of a block."""
    group_size = threads_for(n)
    return group_size, THREADS // group_size
