"""The three things done with a survivor's patch: paste a filter, correlate with it, add it up.

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

    def rows(self, width, run, stride, image, patch):
        """Walk the runs: yields (vectors in a run, run in the image, run in the patch)."""
        vectors = self.builder.udiv(run, ir.IntType(64)(LANES))
        with cgutils.for_range(self.builder, width) as row:
            in_image = self.pointer(image, self.builder.mul(row.index, stride))
            in_patch = self.pointer(patch, self.builder.mul(row.index, run))
            yield vectors, in_image, in_patch


@intrinsic
def paste(typing_context, image, start, stride, sliced_filter, first, width, run, value):
    """image[patch at start] += value * filter: 1-D arrays; the filter begins at `first`."""
    number, integer = image.dtype, types.int64
    signature = types.void(
        image, integer, integer, sliced_filter, integer, integer, integer, number
    )

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, signature, arguments, number)
        _, start, stride, _, first, width, run, value = arguments
        image, patch = v.pointer(v.data(0), start), v.pointer(v.data(3), first)
        scale = v.everywhere(value)
        for vectors, in_image, in_patch in v.rows(width, run, stride, image, patch):
            with cgutils.for_range(builder, vectors) as column:
                total = v.load(in_image, column.index)
                total = v.multiply_add(scale, v.load(in_patch, column.index), total)
                v.store(total, in_image, column.index)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def correlate(typing_context, image, start, stride, sliced_filter, first, width, run):
    """Inner product of the patch at `start` with the filter that begins at `first`."""
    number, integer = image.dtype, types.int64
    signature = number(image, integer, integer, sliced_filter, integer, integer, integer)

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, signature, arguments, number)
        _, start, stride, _, first, width, run = arguments
        image, patch = v.pointer(v.data(0), start), v.pointer(v.data(3), first)
        total = cgutils.alloca_once(builder, v.number)
        builder.store(ir.Constant(v.number, None), total)
        for vectors, in_image, in_patch in v.rows(width, run, stride, image, patch):
            with cgutils.for_range(builder, vectors) as column:
                a, b = v.load(in_image, column.index), v.load(in_patch, column.index)
                builder.store(v.multiply_add(a, b, builder.load(total)), total)
        lanes = [builder.extract_element(builder.load(total), ir.IntType(32)(j)) for j in range(8)]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [builder.fadd(a, b) for a, b in zip(lanes[:half], lanes[half:], strict=True)]
        return lanes[0]

    return signature, generate


@intrinsic
def accumulate(typing_context, image, start, stride, gradient, first, width, run, value):
    """gradient += value * (the patch of the image at start); the gradient begins at `first`."""
    number, integer = image.dtype, types.int64
    signature = types.void(image, integer, integer, gradient, integer, integer, integer, number)

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, signature, arguments, number)
        _, start, stride, _, first, width, run, value = arguments
        image, patch = v.pointer(v.data(0), start), v.pointer(v.data(3), first)
        scale = v.everywhere(value)
        for vectors, in_image, in_patch in v.rows(width, run, stride, image, patch):
            with cgutils.for_range(builder, vectors) as column:
                total = v.load(in_patch, column.index)
                total = v.multiply_add(scale, v.load(in_image, column.index), total)
                v.store(total, in_patch, column.index)
        return context.get_dummy_value()

    return signature, generate
