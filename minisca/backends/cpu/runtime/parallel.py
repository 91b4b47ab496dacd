"""Pieces of work on Numba's threads: one loop for every kernel, which calls the kernel by address.

A kernel is a plain compiled function whose first argument is the piece's index. Compiled into a
parallel loop of its own, as Numba does it, its code would be optimised four times over; called by
address it is compiled once.
"""

import numba
import numpy as np
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from minisca.backends.cpu.runtime.threads import thread_count

_addresses = {}


def in_parallel(kernel, n_pieces, *arguments):
    """kernel(piece, *arguments) for every piece of range(n_pieces), on Numba's threads.

    Arguments are C-contiguous, writeable arrays, numbers, and tuples of these. Raises MemoryError
    if a piece raises, which for want of memory alone it does. A single piece needs no threads.
    """
    if n_pieces == 1:
        kernel(0, *arguments)
        return
    key = (kernel, *[_kind(argument) for argument in arguments])
    if key not in _addresses:
        _addresses[key] = _compile(kernel, arguments)
    flat = []  # a tuple's elements are passed like arguments of their own
    for argument in arguments:
        flat.extend(argument) if isinstance(argument, tuple) else flat.append(argument)
    count = thread_count()
    threads = numba.get_num_threads()
    if count == threads:
        failures = _run(_addresses[key], tuple(flat), n_pieces)
    else:
        numba.set_num_threads(count)
        try:
            failures = _run(_addresses[key], tuple(flat), n_pieces)
        finally:
            numba.set_num_threads(threads)
    if failures:
        raise MemoryError(f"{kernel.__name__} failed, most likely for want of working memory")


def _kind(argument):
    """What distinguishes compilations: an array's dtype and rank, any other argument's type."""
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim
    return tuple(map(_kind, argument)) if isinstance(argument, tuple) else type(argument)


def _compile(kernel, arguments):
    kinds = (types.int64, *(numba.typeof(argument) for argument in arguments))
    kernel.compile(kinds)
    compiled = kernel.overloads[kinds]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@njit(parallel=True, cache=True)
def _run(function, arguments, n_pieces):
    """How many pieces raised."""
    failures = 0
    for piece in prange(n_pieces):
        failures += _call(function, np.int64(piece), arguments)
    return failures


@intrinsic
def _call(typing_context, function, piece, arguments):
    """Call the kernel at address `function` with the piece and the tuple's elements.

    Returns whether it raised: an exception does not leave a parallel loop.
    """
    kinds = (types.int64, *arguments.types)

    def generate(context, builder, signature, passed):
        address, piece, arguments = passed
        convention = context.call_conv
        kind = convention.get_function_type(types.none, kinds)
        compiled = builder.inttoptr(address, kind.as_pointer())
        values = [piece, *cgutils.unpack_tuple(builder, arguments)]
        status, _ = convention.call_function(builder, compiled, types.none, kinds, values)
        return status.is_error

    return types.boolean(types.int64, types.int64, arguments), generate
