"""No offset of the Numba CUDA backend overflows where an array has more than 2^31 elements.

Nothing is run here: the simulator computes with Python's integers, which never overflow. But types
are inferred as for a device, for every kernel and what it calls. Whatever is computed of integers
is computed in 64 bits, and nothing is cut down to 32 but offsets into shared memory: so offsets are
right up to 2^63. What compiler and assembler make of it is theirs to answer for.
"""

import operator
import os

import numba
import numpy as np
import pytest

from tests.support.numba_cuda_kernels import KERNELS, find

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")
if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    pytest.skip("the simulator infers no types", allow_module_level=True)

from numba import cuda
from numba.cuda import compiler, types
from numba.cuda.core import ir

from tests.backends.numba_cuda.test_numba_cuda_ptx import signature

COMPUTING = {
    *(operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg),
    *(operator.iadd, operator.isub, operator.imul, operator.ifloordiv, operator.imod),
}
#: Functions that index shared memory, of 48 KiB, with numbers of 32 bits.
IN_SHARED_MEMORY = {"convolve_units": {"uint32"}}


@pytest.fixture
def typed(pretend):
    """typed(function, signature) -> the inferred types of it and of all that it calls, by name."""
    pretend((9, 0))

    def typed(function, arguments):
        compiled = compiler.compile_cuda(function, None, arguments, cc=(9, 0))
        found = {function.__name__: compiled.type_annotation}
        for called in dispatchers(compiled.type_annotation):
            for overload in called.overloads:
                found |= typed(called.py_func, overload)
        return found

    return typed


def dispatchers(annotation):
    """The device functions among a function's variables."""
    kinds = annotation.typemap.values()
    return {kind.dispatcher for kind in kinds if isinstance(kind, types.Dispatcher)}


def computed(annotation):
    """Of everything that is computed of integers: what, and the type of the result."""
    for expression, found in annotation.calltypes.items():
        if not isinstance(expression, ir.Expr):
            continue
        arithmetic = expression.op in ("binop", "inplace_binop", "unary")
        if arithmetic and expression.fn in COMPUTING and is_integer(found.return_type):
            yield expression.fn.__name__, found.return_type


def conversions(annotation):
    """The types of 32 bits or fewer that numbers are converted to."""
    for expression, found in annotation.calltypes.items():
        if isinstance(expression, ir.Expr) and expression.op == "call":
            function = annotation.typemap[expression.func.name]
            is_conversion = isinstance(function, types.NumberClass)
            if is_conversion and is_integer(found.return_type) and found.return_type.bitwidth < 64:
                yield found.return_type.name


def is_integer(kind):
    return isinstance(kind, types.Integer)


def faults(annotations):
    """What might overflow, in words."""
    found = []
    for name, annotation in annotations.items():
        found += [
            f"{name}: {what} in {kind}" for what, kind in computed(annotation) if kind.bitwidth < 64
        ]
        for kind in set(conversions(annotation)) - IN_SHARED_MEMORY.get(name, set()):
            found.append(f"{name}: a conversion to {kind}")
    return found


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_computes_offsets_in_64_bits(typed, name):
    annotations = typed(find(name).py_func, signature(name, "float32"))
    assert faults(annotations) == []


def test_arithmetic_is_found_in_kernels_and_in_what_they_call(typed):
    name = "kernels.direct.direct_winners"
    annotations = typed(find(name).py_func, signature(name, "float32"))
    found = {function: {what for what, _ in computed(a)} for function, a in annotations.items()}
    assert found["direct_winners"] >= {"add", "sub", "mul", "floordiv"}
    assert found["convolve_units"] >= {"add", "mul", "iadd"}
    assert found["own_share"] >= {"floordiv", "mod"}
    assert set(found) >= {"load_channel", "load_taps", "group_winners"}


def test_numbers_and_shapes_are_handed_over_in_64_bits():
    """As `numba_cuda_kernels` writes it, l0: Python's integers, however small."""
    assert numba.typeof(1) == numba.int64


def test_what_would_overflow_is_noticed(typed):
    """Numba widens what it adds or multiplies, but not what it is told to keep narrow."""

    def narrow(x):
        first = np.int32(cuda.blockIdx.x * x.shape[1])
        x[first, 0] = 0

    def within(x):
        own(x, cuda.threadIdx.x)

    @cuda.jit(device=True)
    def own(x, i):
        x[np.uint32(i * 5), 0] = 0

    array = (numba.float32[:, ::1],)
    assert faults(typed(narrow, array)) == ["narrow: a conversion to int32"]
    assert faults(typed(within, array)) == ["own: a conversion to uint32"]
