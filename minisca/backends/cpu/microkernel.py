"""The register tile behind every convolution of this backend: P places x V vectors of maps.

All products of a tile are summed in registers. A pixel is broadcast and a vector holds one filter
tap of neighbouring maps, so neither a place nor a lane is wasted whatever the image's width, and
the largest unit of a map is found lane by lane, without a horizontal reduction. The filter rows
come as a list, from which the rows that would meet only zero pixels have been left out.

LLVM does not find this shape in loops. It is emitted here as explicit vectors, which LLVM lowers
to what the machine has (AVX-512, AVX2, NEON).
"""

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _vector_registers():
    """Bytes in a vector register, and accumulators that leave room for a tile's operands."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 24
    if features.get("avx"):
        return 32, 12
    if llvm.get_process_triple().startswith(("aarch64", "arm64")):
        return 16, 24
    return 16, 12


VECTOR_BYTES, ACCUMULATORS = _vector_registers()


@intrinsic
def multiply_tile(
    typing_context,
    image,  # 1-D, one padded image
    pixel_rows,  # 1-D int32: where each filter row meets the image, at the tile's first place
    tap_stride,  # int64: from one tap's pixel to the next tap's; 1 in an image
    filters,  # 1-D, packed: the same tap of MB = V * lanes neighbouring maps side by side
    filter_rows,  # 1-D int32: where each filter row starts in `filters`
    n_rows,  # int64: how many filter rows are listed
    row_taps,  # int64: taps in a filter row
    bias,  # 1-D, MB values
    out,  # 1-D, receives P x MB pre-activations
    start,  # int64: where in `out`
    place_stride,  # int64: from one place to the next in `out`; MB where they stand side by side
    places,  # tuple of P elements: its length is what counts, at compile time
    vectors,  # tuple of V elements, likewise
):
    """out[start + p * place_stride + j] = bias[j] + sum over rows r and taps t of
    image[pixel_rows[r] + p + t * tap_stride] * filters[filter_rows[r] + t * MB + j].
    """
    number = image.dtype
    scalar = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}[number]
    item_bytes = number.bitwidth // 8
    lanes = VECTOR_BYTES // item_bytes
    vector = ir.VectorType(scalar, lanes)
    n_places, n_vectors = len(places), len(vectors)
    rows = types.Array(types.int32, 1, "C")
    integer = types.int64
    signature = types.void(
        image, rows, integer, filters, rows, integer, integer,
        bias, out, integer, integer, places, vectors,
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        def data(index):
            array = context.make_array(signature.args[index])
            return array(context, builder, arguments[index]).data

        image, pixel_rows, filters, filter_rows = data(0), data(1), data(3), data(4)
        tap_stride, n_rows, row_taps = arguments[2], arguments[5], arguments[6]
        bias, out = data(7), builder.gep(data(8), [arguments[9]])
        place_stride = arguments[10]
        word = ir.IntType(64)
        undefined = ir.Constant(vector, ir.Undefined)
        to_all_lanes = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

        def vector_at(pointer, index):
            place = builder.gep(pointer, [word(index * lanes)])
            return builder.bitcast(place, vector.as_pointer())

        def load_vector(pointer, index):
            return builder.load(vector_at(pointer, index), align=item_bytes)

        def broadcast(pointer, index):
            pixel = builder.load(builder.gep(pointer, [word(index)]))
            first = builder.insert_element(undefined, pixel, ir.IntType(32)(0))
            return builder.shuffle_vector(first, undefined, to_all_lanes)

        def row_start(rows, index):
            return builder.sext(builder.load(builder.gep(rows, [index])), word)

        sums = [cgutils.alloca_once(builder, vector) for _ in range(n_places * n_vectors)]
        for index, total in enumerate(sums):
            builder.store(load_vector(bias, index % n_vectors), total)
        with cgutils.for_range(builder, n_rows) as row:
            pixel_row = builder.gep(image, [row_start(pixel_rows, row.index)])
            filter_row = builder.gep(filters, [row_start(filter_rows, row.index)])
            with cgutils.for_range(builder, row_taps) as tap:
                pixels = builder.gep(pixel_row, [builder.mul(tap.index, tap_stride)])
                offset = builder.mul(tap.index, word(n_vectors * lanes))
                tap_filters = builder.gep(filter_row, [offset])
                weights = [load_vector(tap_filters, v) for v in range(n_vectors)]
                for p in range(n_places):
                    pixel = broadcast(pixels, p)
                    for v in range(n_vectors):
                        total = sums[p * n_vectors + v]
                        product = builder.fmul(pixel, weights[v], flags=("contract",))
                        added = builder.fadd(builder.load(total), product, flags=("contract",))
                        builder.store(added, total)
        for p in range(n_places):
            place = builder.gep(out, [builder.mul(word(p), place_stride)])
            for v in range(n_vectors):
                total = builder.load(sums[p * n_vectors + v])
                builder.store(total, vector_at(place, v), align=item_bytes)
        return context.get_dummy_value()

    return signature, generate
