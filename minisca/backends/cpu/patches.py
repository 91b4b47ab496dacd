"""What is done with survivors' patches: they are added to one another, and correlated.

A patch is k runs, `stride` numbers apart, in a sliced image (see `slices`); a sliced filter is k
runs one after another. A run is a multiple of LANES numbers. Written as explicit vectors, because
the loops are too short for LLVM to vectorise them well by itself.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Runs are padded to a multiple of this many numbers.
LANES = 8

_SCALARS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


class _Vectors:
    """Vectors of LANES numbers within the arrays of a call."""

    def __init__(self, context, builder, signature, arguments, number):
        self.context, self.builder = context, builder
        self.signature, self.arguments = signature, arguments
        self.number = ir.VectorType(_SCALARS[number], LANES)
        self.bytes = number.bitwidth // 8

    def data(self, index):
        array = self.context.make_array(self.signature.args[index])
        return array(self.context, self.builder, self.arguments[index]).data

    def pointer(self, data, start):
        return self.builder.gep(data, [start])

    def at(self, pointer, index):
        place = self.builder.gep(pointer, [self.builder.mul(index, ir.IntType(64)(LANES))])
        return self.builder.bitcast(place, self.number.as_pointer())

    def load(self, pointer, index):
        return self.builder.load(self.at(pointer, index), align=self.bytes)

    def store(self, value, pointer, index):
        self.builder.store(value, self.at(pointer, index), align=self.bytes)

    def everywhere(self, value):
        undefined = ir.Constant(self.number, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def multiply_add(self, a, b, total):
        product = self.builder.fmul(a, b, flags=("contract",))
        return self.builder.fadd(total, product, flags=("contract",))

    def rows(self, width, vectors, first, first_stride, second, second_stride):
        """Walk the runs of two patches vector by vector: yields (run, run, index of the vector)."""
        with cgutils.for_range(self.builder, width) as row:
            run = self.pointer(first, self.builder.mul(row.index, first_stride))
            other = self.pointer(second, self.builder.mul(row.index, second_stride))
            with cgutils.for_range(self.builder, vectors) as column:
                yield run, other, column.index


@intrinsic
def add_patch(
    typing_context, target, start, stride, source, source_start, source_stride, width, run, value
):
    """target patch += value * source patch, both in 1-D arrays, at their starts and strides."""
    number, integer = target.dtype, types.int64
    signature = types.void(
        target, integer, integer, source, integer, integer, integer, integer, number
    )

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, signature, arguments, number)
        _, start, stride, _, source_start, source_stride, width, run, value = arguments
        target = v.pointer(v.data(0), start)
        source = v.pointer(v.data(3), source_start)
        vectors = builder.udiv(run, ir.IntType(64)(LANES))
        scale = v.everywhere(value)
        for to, of, j in v.rows(width, vectors, target, stride, source, source_stride):
            v.store(v.multiply_add(scale, v.load(of, j), v.load(to, j)), to, j)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def correlate(typing_context, image, start, stride, sliced_filter, first, width, run):
    """Inner product of the image's patch at `start` with the filter that begins at `first`."""
    number, integer = image.dtype, types.int64
    signature = number(image, integer, integer, sliced_filter, integer, integer, integer)

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, signature, arguments, number)
        _, start, stride, _, first, width, run = arguments
        image, patch = v.pointer(v.data(0), start), v.pointer(v.data(3), first)
        vectors = builder.udiv(run, ir.IntType(64)(LANES))
        total = cgutils.alloca_once(builder, v.number)
        builder.store(ir.Constant(v.number, None), total)
        for a, b, j in v.rows(width, vectors, image, stride, patch, run):
            builder.store(v.multiply_add(v.load(a, j), v.load(b, j), builder.load(total)), total)
        lanes = [
            builder.extract_element(builder.load(total), ir.IntType(32)(j)) for j in range(LANES)
        ]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [builder.fadd(a, b) for a, b in zip(lanes[:half], lanes[half:], strict=True)]
        return lanes[0]

    return signature, generate
