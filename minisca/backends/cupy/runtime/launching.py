"""Kernels from their texts (kernels/*.cu), and the one way to launch them."""

import functools
import importlib.resources
import re
from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.runtime import machine
from minisca.chunks import ceil_div

#: Threads of a block whose work has no shape of its own.
THREADS = 256
WARP = 32
#: Blocks of a grid, at most (of its first axis, the only one that is used).
MAX_BLOCKS = 2**31 - 1
#: The largest number of anything that kernels count in int, with room for half-empty tiles.
MOST_COUNTED = 2**31 - 2**10
#: Dynamic shared memory that every block has without asking, besides some of fixed size.
GRANTED_BYTES = 40 << 10

FOLDER = importlib.resources.files("minisca.backends.cupy").joinpath("kernels")


class Kernel(NamedTuple):
    """Kernel `name` of kernels/`file`, and how that is compiled."""

    file: str
    name: str
    options: tuple[str, ...]


@functools.lru_cache(4096)
def kernel(file, name, dtype, **macros):
    """The `Kernel` for numbers of that dtype; `macros` are defined in its text."""
    return Kernel(file, name, options(dtype, **macros))


def options(dtype, **macros):
    """Options of a text's compilation: its type of numbers, and macros in a fixed order."""
    macros["REAL"] = {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
    return ("-std=c++17", *(f"-D{name}={macros[name]}" for name in sorted(macros)))


@functools.cache
def source(file):
    """The text of kernels/`file`, its own `#include "..."` lines replaced by what they name."""
    text = FOLDER.joinpath(file).read_text("utf-8")
    return re.sub(r'^#include "(.+)"$', lambda match: source(match[1]), text, flags=re.MULTILINE)


@functools.cache
def _compiled(on, kernel):
    return on.raw_kernel(source(kernel.file), kernel.name, kernel.options)


def count(number):
    """`number` as a kernel's argument of type int. Raises ValueError where it is too large."""
    if number > MOST_COUNTED:
        raise ValueError(
            f"{number} is more than the {MOST_COUNTED} places of an image, maps, weights of a "
            "filter or slots of a code that kernels count; pass smaller images or fewer maps"
        )
    return np.int32(number)


def launch(kernel, n_blocks, n_threads, *args, shared_bytes=0):
    """Run `kernel` in `n_blocks` blocks of `n_threads` threads.

    args: arrays of the device, NumPy's numbers, and Python's integers, which are counts. Raises
    ValueError for a count or a grid that is too large, and RuntimeError, naming the kernel and its
    launch, if the device refuses it.
    """
    if n_blocks > MAX_BLOCKS:
        what = _described(kernel, n_blocks, n_threads)
        raise ValueError(f"{what}: a grid has at most {MAX_BLOCKS}; pass fewer images at a time")
    args = tuple([count(arg) if type(arg) is int else arg for arg in args])
    if machine.watch.tell is not None:
        machine.watch.tell(args)
    launch_failures, out_of_memory = machine.platform.failures
    try:
        compiled = _compiled(machine.platform, kernel)
        if shared_bytes > GRANTED_BYTES:
            compiled.max_dynamic_shared_size_bytes = shared_bytes
        compiled((n_blocks,), (n_threads,), args, shared_mem=shared_bytes)
    except OSError as error:
        raise machine.no_cache(error) from error
    except launch_failures + out_of_memory as error:
        what = _described(kernel, n_blocks, n_threads)
        raise RuntimeError(
            f"{what} with {shared_bytes} bytes of shared memory failed: {error}"
        ) from error


def _described(kernel, n_blocks, n_threads):
    return f"kernel {kernel.name} on {n_blocks} blocks of {n_threads} threads"


def launch_over(kernel, size, *args):
    """Run `kernel` with one thread an element of `size`, which it takes as its last argument."""
    n_blocks = min(ceil_div(size, THREADS), MAX_BLOCKS)
    launch(kernel, n_blocks, THREADS, *args, np.int64(size))


def threads_for(n):
    """Threads of a block that has `n` things to do at once: whole warps, at most THREADS."""
    return min(THREADS, ceil_div(n, WARP) * WARP)
