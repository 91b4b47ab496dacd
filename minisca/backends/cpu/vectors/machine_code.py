"""Functions of explicit vectors, written in LLVM's language, which kernels call by address.

LLVM does not find these vectors in a kernel's loops by itself. A function is made for one number
type and one shape, in a few milliseconds. The kernels are thus compiled once, whatever the shapes.
LLVM translates the vectors to what the machine has (AVX-512, AVX2, NEON), or to what Numba's
switches NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say that it has.
"""

from functools import partial

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock as compiler_lock
from numba.core.errors import TypingError
from numba.extending import intrinsic

WORD = ir.IntType(64)
INDEX = ir.IntType(32)
POINTER = ir.IntType(8).as_pointer()

_engines = []  # own the compiled code: never freed


def machine():
    """The processor's name and its features, as LLVM writes them: "+avx2,-avx512f"."""
    name, features = numba.config.CPU_NAME, numba.config.CPU_FEATURES
    return (
        llvm.get_host_cpu_name() if name is None else name,
        llvm.get_host_cpu_features().flatten() if features is None else features,
    )


def _vector_registers():
    """Bytes in a vector register, and how many registers there are."""
    features = machine()[1].split(",")
    if "+avx512f" in features:
        return 64, 32
    if "+avx" in features:
        return 32, 16
    if llvm.get_process_triple().startswith(("aarch64", "arm64")):
        return 16, 32
    return 16, 16


VECTOR_BYTES, REGISTERS = _vector_registers()
#: Most vectors of sums in a convolution's tile: the operands need registers too.
TILE_SUMS = REGISTERS - 8 if REGISTERS == 32 else REGISTERS - 4
#: Most vectors of sums of a patch: a scale, pixels and two other sums need registers too.
PATCH_SUMS = REGISTERS - 6


def vector_lanes(dtype):
    """How many numbers a vector has."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


class Emitter:
    """Emits one function's body. Vectors have `lanes` numbers of `dtype`."""

    def __init__(self, builder, dtype, lanes):
        self.builder = builder
        self.number = ir.FloatType() if np.dtype(dtype) == np.float32 else ir.DoubleType()
        self.item_bytes = np.dtype(dtype).itemsize
        self.lanes = lanes
        self.vector = ir.VectorType(self.number, lanes)
        self.zero = ir.Constant(self.vector, None)

    def at(self, pointer, index, type_=None):
        """Pointer to element `index` of an array of `type_`, by default the function's numbers."""
        index = WORD(index) if isinstance(index, int) else index
        type_ = type_ or self.number
        return self.builder.gep(self.builder.bitcast(pointer, type_.as_pointer()), [index])

    def load_index(self, pointer, index):
        """An element of an int32 array."""
        return self.builder.sext(self.builder.load(self.at(pointer, index, INDEX)), WORD)

    def load_word(self, pointer, index):
        """An element of an int64 array."""
        return self.builder.load(self.at(pointer, index, WORD))

    def load_number(self, pointer, index):
        return self.builder.load(self.at(pointer, index))

    def _vector_at(self, pointer, index):
        return self.builder.bitcast(self.at(pointer, index), self.vector.as_pointer())

    def load(self, pointer, index):
        """The vector whose first number is element `index`."""
        return self.builder.load(self._vector_at(pointer, index), align=self.item_bytes)

    def store(self, value, pointer, index):
        self.builder.store(value, self._vector_at(pointer, index), align=self.item_bytes)

    def everywhere(self, number, vector=None):
        """A vector, by default of the function's numbers, with `number` in all lanes."""
        undefined = ir.Constant(vector or self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, number, INDEX(0))
        zeros = ir.Constant(ir.VectorType(INDEX, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def shuffle(self, a, b, lanes):
        """The vector of the given lanes of a and, counted on from there, of b."""
        return self.builder.shuffle_vector(
            a, b, ir.Constant(ir.VectorType(INDEX, len(lanes)), lanes)
        )

    def multiply_add(self, a, b, total):
        product = self.builder.fmul(a, b, flags=("contract",))
        return self.builder.fadd(total, product, flags=("contract",))

    def keep_larger(self, unit, place, kept):
        """Lane by lane the larger of a unit and of the one kept, the first if equal; its place.

        kept: a pair of such vectors, of numbers and of places.
        """
        wins = self.builder.fcmp_ordered(">", unit, kept[0])
        return tuple(map(partial(self.builder.select, wins), (unit, place), kept))

    def sum_of_lanes(self, value):
        """The sum of a vector's lanes, half onto half."""
        lanes = self.lanes
        while lanes > 1:
            lanes //= 2
            halves = list(range(lanes)), list(range(lanes, 2 * lanes))
            value = self.builder.fadd(*(self.shuffle(value, value, half) for half in halves))
        return self.builder.extract_element(value, INDEX(0))

    def transposed(self, rows):
        """The columns of a square of numbers of which these vectors are the rows.

        Of every square of 2 x 2 squares of `step` rows and columns, the two off the diagonal are
        swapped. With steps 1, 2, 4, ... that transposes the whole: each step exchanges one bit of
        the row's number with the same bit of the column's.
        """
        lanes, step = len(rows), 1
        while step < lanes:
            upper = [lane - step + lanes if lane & step else lane for lane in range(lanes)]
            lower = [lane + lanes if lane & step else lane + step for lane in range(lanes)]
            swapped = list(rows)
            for i in range(lanes):
                if not i & step:
                    swapped[i] = self.shuffle(rows[i], rows[i + step], upper)
                    swapped[i + step] = self.shuffle(rows[i], rows[i + step], lower)
            rows, step = swapped, 2 * step
        return rows

    def loop(self, count, carried, body):
        """for index in range(count): carried = body(index, *carried); returns the last carried.

        Values are carried in registers from one turn to the next.
        """
        builder = self.builder
        before = builder.block
        head = builder.append_basic_block("loop")
        inside = builder.append_basic_block("body")
        after = builder.append_basic_block("after")
        builder.branch(head)
        builder.position_at_end(head)
        phis = [builder.phi(WORD), *(builder.phi(value.type) for value in carried)]
        for phi, value in zip(phis, [WORD(0), *carried], strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", phis[0], count), inside, after)
        builder.position_at_end(inside)
        following = body(phis[0], *phis[1:])
        following = [builder.add(phis[0], WORD(1)), *following]
        for phi, value in zip(phis, following, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return phis[1:]


@compiler_lock
def compile_function(name, kinds, dtype, lanes, emit):
    """The address of a function without result, which kernels `call`.

    kinds: LLVM types of its arguments, POINTER or WORD each. dtype, lanes: of its vectors.
    emit(emitter, *arguments) writes its body.
    """
    JITCPUCodegen("minisca")  # has Numba make LLVM ready for this machine
    module = ir.Module(name)
    module.triple = llvm.get_process_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(Emitter(builder, dtype, lanes), *function.args)
    builder.ret_void()
    cpu, features = machine()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=features, opt=3, jit=True
    )
    compiled = llvm.parse_assembly(str(module))
    compiled.verify()
    engine = llvm.create_mcjit_compiler(compiled, target)
    engine.finalize_object()
    _engines.append((engine, target))
    return engine.get_function_address(name)


@intrinsic
def call(typing_context, address, *arguments):
    """Within a kernel: call the function at `address`, which `compile_function` made.

    A whole number is passed as int64, an array as the pointer to its first number, a pair
    (array, i) as the pointer to number i of the array. The function cannot see what is behind a
    pointer. So a kernel is not compiled (TypingError) unless its arrays are C-contiguous and
    writeable, and those of floats of one dtype.
    """
    arrays = [kind[0] if isinstance(kind, types.BaseTuple) else kind for kind in arguments]
    arrays = [kind for kind in arrays if isinstance(kind, types.Array)]
    floats = {kind.dtype for kind in arrays if isinstance(kind.dtype, types.Float)}
    if len(floats) > 1 or not all(kind.layout == "C" and kind.mutable for kind in arrays):
        raise TypingError(f"cannot be passed to a function of vectors: {arrays}")

    def passed_as(kind):
        if isinstance(kind, types.BaseTuple):
            return types.Tuple([passed_as(part) for part in kind])
        return types.int64 if isinstance(kind, types.Integer) else kind

    kinds = passed_as(types.Tuple(arguments))

    def generate(context, builder, signature, values):
        def lower(kind, value):
            if isinstance(kind, types.BaseTuple):
                array, index = cgutils.unpack_tuple(builder, value)
                data = context.make_array(kind[0])(context, builder, array).data
                return builder.bitcast(builder.gep(data, [index]), POINTER)
            if isinstance(kind, types.Array):
                data = context.make_array(kind)(context, builder, value).data
                return builder.bitcast(data, POINTER)
            return value

        address, values = values[0], cgutils.unpack_tuple(builder, values[1])
        values = [lower(kind, value) for kind, value in zip(kinds, values, strict=True)]
        function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(address, function.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, kinds), generate
