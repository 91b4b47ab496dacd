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

_addresses = {}


def in_parallel(kernel, n_pieces, *arguments):
    """kernel(piece, *arguments) for every piece of range(n_pieces), on Numba's threads.

    The kinds of all arguments follow from the kernel and the first one's dtype: an array.
    """
    key = kernel, arguments[0].dtype
    if key not in _addresses:
        _addresses[key] = _compile(kernel, arguments)
    flat = []  # a tuple's elements are passed like arguments of their own
    for argument in arguments:
        flat.extend(argument) if isinstance(argument, tuple) else flat.append(argument)
    _run(_addresses[key], n_pieces, tuple(flat))


def _compile(kernel, arguments):
    kinds = (types.int64, *(numba.typeof(argument) for argument in arguments))
    kernel.compile(kinds)
    compiled = kernel.overloads[kinds]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@njit(parallel=True, cache=True)
def _run(function, n_pieces, arguments):
    for piece in prange(n_pieces):
        _call(function, np.int64(piece), arguments)


@intrinsic
def _call(typing_context, function, piece, arguments):
    """Call the compiled kernel at address `function` with the piece and the tuple's elements."""
    kinds = (types.int64, *arguments.types)

    def generate(context, builder, signature, passed):
        address, piece, arguments = passed
        convention = context.call_conv
        kind = convention.get_function_type(types.none, kinds)
        compiled = builder.inttoptr(address, kind.as_pointer())
        values = [piece, *cgutils.unpack_tuple(builder, arguments)]
        status, _ = convention.call_function(builder, compiled, types.none, kinds, values)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, arguments), generate
