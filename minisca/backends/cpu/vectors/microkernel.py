"""The register tile behind every convolution of this backend: P places x V vectors of maps.

All products of a tile are summed in registers. A pixel is broadcast and a vector holds one filter
tap of neighbouring maps, so neither a place nor a lane is wasted whatever the image's width, and
the largest unit of a map is found lane by lane, without a horizontal reduction. The filter rows
come as a list, from which the rows that would meet only zero pixels have been left out.
"""

from functools import cache

from numba import types
from numba.extending import intrinsic

from minisca.backends.cpu.vectors.machine_code import (
    INDEX,
    POINTER,
    WORD,
    compile_function,
    lower_call,
    vector_lanes,
)


@cache
def tile_function(places, vectors, dtype, adding=False, subtracting=False):
    """Address of the function that `multiply_tile` calls, for a tile of places x vectors.

    `adding`: to what `out` holds, in place of the bias. `subtracting`: the products.
    """
    lanes = vector_lanes(dtype)
    sums = [(p, v) for p in range(places) for v in range(vectors)]

    def emit(
        e, image, pixel_rows, filter_rows, first_row, n_rows, row_taps, tap_stride,
        filters, first_filter, bias, first_bias, out, start, place_stride,
    ):  # fmt: skip
        filters, bias = e.at(filters, first_filter), e.at(bias, first_bias)
        pixel_rows = e.at(pixel_rows, first_row, INDEX)
        filter_rows = e.at(filter_rows, first_row, INDEX)

        def add_row(row, *totals):
            pixels = e.at(image, e.load_index(pixel_rows, row))
            weights = e.at(filters, e.load_index(filter_rows, row))

            def add_tap(tap, *totals):
                first = e.at(pixels, e.builder.mul(tap, tap_stride))
                own = e.at(weights, e.builder.mul(tap, WORD(vectors * lanes)))
                columns = [e.load(own, v * lanes) for v in range(vectors)]
                added = []
                for p in range(places):
                    pixel = e.load_number(first, p)
                    pixel = e.everywhere(e.builder.fneg(pixel) if subtracting else pixel)
                    for v in range(vectors):
                        added.append(e.multiply_add(pixel, columns[v], totals[p * vectors + v]))
                return added

            return e.loop(row_taps, totals, add_tap)

        own = [
            e.at(out, e.builder.add(start, e.builder.mul(place_stride, WORD(p))))
            for p in range(places)
        ]
        before = [e.load(own[p] if adding else bias, v * lanes) for p, v in sums]
        totals = e.loop(n_rows, before, add_row)
        for (p, v), total in zip(sums, totals, strict=True):
            e.store(total, own[p], v * lanes)

    kinds = [POINTER] * 3 + [WORD] * 4 + [POINTER, WORD] * 3 + [WORD]
    return compile_function(f"tile_{places}_by_{vectors}", kinds, dtype, lanes, emit)


@intrinsic
def multiply_tile(
    typing_context,
    function,  # address of the tile's function
    image,  # one padded image
    pixel_rows,  # int32: where each filter row meets the image, at the tile's first place
    filter_rows,  # int32: where each filter row starts in the tile's filters
    first_row,  # the first that counts in both lists
    n_rows,  # how many count
    row_taps,  # taps in a filter row
    tap_stride,  # from one tap's pixel to the next tap's; 1 in an image
    filters,  # packed: the same tap of MB = V * lanes neighbouring maps side by side
    first_filter,  # where the tile's filters begin
    bias,
    first_bias,  # where the tile's MB biases begin
    out,  # receives P x MB pre-activations
    start,  # where in `out`
    place_stride,  # from one place to the next in `out`; MB where they stand side by side
):
    """out[start + p * place_stride + j] = bias[j] + sum over rows r and taps t of
    image[pixel_rows[r] + p + t * tap_stride] * filters[filter_rows[r] + t * MB + j].
    """
    word = types.int64
    signature = types.void(
        word, image, pixel_rows, filter_rows, word, word, word, word,
        filters, word, bias, word, out, word, word,
    )  # fmt: skip
    return signature, lower_call
