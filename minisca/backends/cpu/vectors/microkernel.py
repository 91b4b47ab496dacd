"""The register tile behind every convolution on the CPU: P positions x V vectors of maps.

All products of a tile are summed in registers. One pixel is multiplied with a vector of taps, one
of each of some neighbouring maps. So no lane is wasted whatever the image's width, and the largest
unit of a map is found lane by lane. The filter rows come as a list: rows that would meet only zero
pixels are left out of it.
"""

from functools import cache

from minisca.backends.cpu.vectors.machine_code import (
    POINTER,
    WORD,
    compile_function,
    vector_lanes,
)


@cache
def tile_function(positions, vectors, dtype, adding=False, subtracting=False):
    """Address of a function that computes a tile of P positions x V vectors of maps.

    With MB = V * lanes, and p < P, j < MB:

    out[p * stride + j] = bias[j] + sum over rows r and taps t of
    image[pixel_rows[r] + p + t * tap_stride] * filters[filter_rows[r] + t * MB + j].

    Parameters
    ----------
    positions, vectors : int
        P and V.
    adding : bool
        Add to what `out` holds, in place of the bias.
    subtracting : bool
        Subtract the products.

    Notes
    -----
    The function's arguments: image; pixel_rows and filter_rows, int32; n_rows in both;
    row_taps, the taps in a row; tap_stride, from one tap's pixel to the next tap's; filters, the
    same tap of MB maps side by side; bias; out; stride, from one position to the next in `out`.
    """
    lanes = vector_lanes(dtype)
    sums = [(p, v) for p in range(positions) for v in range(vectors)]

    def emit(
        e, image, pixel_rows, filter_rows, n_rows, row_taps, tap_stride, filters, bias, out, stride
    ):
        def add_row(row, *totals):
            pixels = e.at(image, e.load_index(pixel_rows, row))
            weights = e.at(filters, e.load_index(filter_rows, row))

            def add_tap(tap, *totals):
                first = e.at(pixels, e.builder.mul(tap, tap_stride))
                own = e.at(weights, e.builder.mul(tap, WORD(vectors * lanes)))
                columns = [e.load(own, v * lanes) for v in range(vectors)]
                added = []
                for p in range(positions):
                    pixel = e.load_number(first, p)
                    pixel = e.everywhere(e.builder.fneg(pixel) if subtracting else pixel)
                    for v in range(vectors):
                        added.append(e.multiply_add(pixel, columns[v], totals[p * vectors + v]))
                return added

            return e.loop(row_taps, totals, add_tap)

        own = [e.at(out, e.builder.mul(stride, WORD(p))) for p in range(positions)]
        before = [e.load(own[p] if adding else bias, v * lanes) for p, v in sums]
        totals = e.loop(n_rows, before, add_row)
        for (p, v), total in zip(sums, totals, strict=True):
            e.store(total, own[p], v * lanes)

    kinds = [POINTER] * 3 + [WORD] * 3 + [POINTER] * 3 + [WORD]
    return compile_function(f"tile_{positions}_by_{vectors}", kinds, dtype, lanes, emit)
