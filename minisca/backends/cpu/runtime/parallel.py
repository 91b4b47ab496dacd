"""Pieces of work on Numba's threads: two loops for all kernels, which call the kernel by address.

A kernel is a compiled function whose first argument is the piece's number. With a parallel loop of
its own Numba would optimise it four times. Called by address it is compiled once. The second loop
is for a single thread, and starts none. The pieces are the same, and so are the results.
"""

import numba
import numpy as np
from numba import prange, types
from numba._dispatcher import compute_fingerprint  # of all that the arguments' types depend on
from numba.core import cgutils
from numba.extending import intrinsic

from minisca import chunks
from minisca.backends.cpu.runtime.compiling import compiler_lock, kernel
from minisca.backends.cpu.runtime.threads import on_numbas_threads, thread_limit

_addresses = {}

#: `minisca.chunks.ceil_div` for kernels.
ceil_div = kernel(chunks.ceil_div)


@kernel
def share(index, parts, length):
    """First and end of part `index` of `parts` consecutive, nearly equal parts of range(length)."""
    return index * length // parts, (index + 1) * length // parts


def in_parallel(function, n_pieces, *arguments):
    """function(piece, *arguments) for every piece of range(n_pieces), on Numba's threads.

    function is what `kernel` returns; the arguments are C-contiguous, writeable arrays, numbers,
    and tuples of these. A single piece is done without threads. MemoryError if a piece raises:
    kernels raise for want of memory only.
    """
    if n_pieces == 1:
        function(0, *arguments)
        return
    key = function, compute_fingerprint(arguments)
    if key not in _addresses:
        _addresses[key] = _compile(function, arguments)
    flat = []  # a tuple's elements are passed like arguments of their own
    for argument in arguments:
        flat.extend(argument) if isinstance(argument, tuple) else flat.append(argument)
    what, limit = (_addresses[key], tuple(flat), n_pieces), thread_limit()
    failures = _run_in_turn(*what) if limit == 1 else on_numbas_threads(limit, _run, *what)
    if failures:
        raise MemoryError(f"{function.__name__} failed, most likely for want of working memory")


@compiler_lock
def _compile(function, arguments):
    kinds = (types.int64, *(numba.typeof(argument) for argument in arguments))
    function.compile(kinds)
    compiled = function.overloads[kinds]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@kernel(parallel=True)
def _run(address, arguments, n_pieces):
    """How many pieces raised."""
    failures = 0
    for piece in prange(n_pieces):
        failures += _call(address, np.int64(piece), arguments)
    return failures


@kernel(nogil=True)
def _run_in_turn(address, arguments, n_pieces):
    """The same in the thread that calls."""
    failures = 0
    for piece in range(n_pieces):
        failures += _call(address, piece, arguments)
    return failures


@intrinsic
def _call(typing_context, address, piece, arguments):
    """Call the kernel at `address` with the piece and the tuple's elements.

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
