"""Pieces of work on Numba's threads: two loops for all kernels, which call the kernel by address.

A kernel is a compiled function whose first argument is the piece's number. With a parallel loop of
its own Numba would optimise it four times, and a parallel loop takes it half a second to compile.
So the two loops know a kernel's arguments only as a place in memory, and are compiled once: one is
parallel, one is for a single thread, and starts none. The pieces are the same, and so are the
results.
"""

import functools

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba._dispatcher import compute_fingerprint  # of all that the arguments' types depend on
from numba.core import cgutils
from numba.extending import intrinsic

from minisca import chunks
from minisca.backends.cpu.runtime.compiling import compiler_lock, kernel
from minisca.backends.cpu.runtime.neighbours import spare_threads
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
    what = _ready(function, arguments), _flat(arguments), n_pieces
    _on_threads(function, thread_limit(), _run, *what)


def in_turns(function, then, n_turns, n_pieces, *arguments):
    """n_turns times: function(piece, *arguments) for every piece, as `in_parallel`; and `then`.

    then(0, *arguments) is a kernel too, done by one thread. Which turn it is stands in an array
    among the arguments, if `then` counts it there. After a turn that fails there is no other.
    """
    what = _ready(function, arguments), _ready(then, arguments), _flat(arguments), n_pieces, n_turns
    limit = 1 if n_pieces == 1 else thread_limit()
    _on_threads(function, limit, _run_in_turns, _address_of(_in_turn), *what)


def _on_threads(function, limit, run, *what):
    """run(loop, *what), of the parallel loop, or of the one for a single thread."""
    limit = spare_threads(limit)
    if limit == 1:
        failures = run(_address_of(_in_turn), *what)
    else:
        failures = on_numbas_threads(limit, run, _address_of(_at_once), *what)
    if failures:
        raise MemoryError(f"{function.__name__} failed, most likely for want of working memory")


def _flat(arguments):
    """A tuple's elements are passed like arguments of their own."""
    return tuple(_add_flat(arguments, []))


def _add_flat(arguments, flat):
    for argument in arguments:
        if isinstance(argument, tuple):
            _add_flat(argument, flat)
        else:
            flat.append(argument)
    return flat


def _ready(function, arguments):
    """The address of the kernel, compiled for these arguments."""
    key = function, compute_fingerprint(arguments)
    if key not in _addresses:
        _addresses[key] = _compile(function, arguments)
    return _addresses[key]


@compiler_lock
def _compile(function, arguments):
    kinds = (types.int64, *(numba.typeof(argument) for argument in arguments))
    return _compiled_address(function, kinds)


@functools.cache
@compiler_lock
def _address_of(loop):
    return _compiled_address(loop, (types.int64, types.int64, types.int64))


def _compiled_address(function, kinds):
    function.compile(kinds)
    compiled = function.overloads[kinds]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@kernel(parallel=True)
def _at_once(task, memory, n_pieces):
    """How many pieces raised, of a task at that address with its arguments at `memory`."""
    failures = 0
    for piece in prange(n_pieces):
        failures += _call_task(task, np.int64(piece), memory)
    return failures


@kernel
def _in_turn(task, memory, n_pieces):
    """The same in the thread that calls."""
    failures = 0
    for piece in range(n_pieces):
        failures += _call_task(task, np.int64(piece), memory)
    return failures


@kernel(nogil=True)
def _run(loop, address, arguments, n_pieces):
    """How many pieces raised, of the kernel at `address`, by the loop at `loop`."""
    return _loop_over(loop, address, arguments, n_pieces)


@kernel(nogil=True)
def _run_in_turns(loop, alone, address, then, arguments, n_pieces, n_turns):
    """How many pieces raised, of `in_turns`."""
    failures = 0
    for _ in range(n_turns):
        if failures == 0:
            failures += _run(loop, address, arguments, n_pieces)
            failures += _run(alone, then, arguments, 1)
    return failures


_WORD = ir.IntType(64)
#: A task in C: task(piece, memory), whether it raised.
_TASK = ir.FunctionType(_WORD, [_WORD, _WORD])


@intrinsic
def _call_task(typing_context, task, piece, memory):
    """Call the C function at the address `task`."""

    def generate(context, builder, signature, passed):
        task, piece, memory = passed
        return builder.call(builder.inttoptr(task, _TASK.as_pointer()), [piece, memory])

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic
def _loop_over(typing_context, loop, address, arguments, n_pieces):
    """Call the loop with a task that calls the kernel with the piece and the tuple's elements.

    The address of the kernel and the tuple are in memory of this call's. The task tells whether
    the kernel raised: an exception does not leave a parallel loop.
    """
    kinds = (types.int64, *arguments.types)

    def generate(context, builder, signature, passed):
        loop, address, arguments, n_pieces = passed
        convention = context.call_conv
        memory = cgutils.alloca_once(builder, ir.LiteralStructType([_WORD, arguments.type]))
        builder.store(cgutils.pack_struct(builder, [address, arguments]), memory)

        task = ir.Function(builder.module, _TASK, f"task_of_{builder.function.name}")
        task.linkage = "internal"
        inner = ir.IRBuilder(task.append_basic_block())
        found = inner.load(inner.inttoptr(task.args[1], memory.type))
        kernel, elements = (inner.extract_value(found, place) for place in (0, 1))
        kernel = inner.inttoptr(
            kernel, convention.get_function_type(types.none, kinds).as_pointer()
        )
        values = [task.args[0], *cgutils.unpack_tuple(inner, elements)]
        status, _ = convention.call_function(inner, kernel, types.none, kinds, values)
        inner.ret(inner.zext(status.is_error, _WORD))

        words = (types.int64,) * 3
        loop = builder.inttoptr(loop, convention.get_function_type(types.int64, words).as_pointer())
        places = [builder.ptrtoint(each, _WORD) for each in (task, memory)]
        _, failures = convention.call_function(
            builder, loop, types.int64, words, [*places, n_pieces]
        )
        return failures

    return types.int64(types.int64, types.int64, arguments, types.int64), generate
