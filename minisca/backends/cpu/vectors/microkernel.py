"""The register tile behind every convolution on the CPU: P positions x V vectors of maps.

All products of a tile are summed in registers. One pixel is multiplied with a vector of taps, one
of each of some neighbouring maps. So no lane is wasted whatever the image's width, and the largest
unit of a map is found lane by lane. The filter rows come as a list: rows that would meet only zero
pixels are left out of it.

A linear classifier's products run through the same tile: rows of features are its positions,
classes its maps.
"""

from functools import cache

from minisca.backends.cpu.vectors.machine_code import POINTER, WORD, compile_function, vector_lanes


@cache
def tile_function(
    positions, vectors, dtype, adding="", subtracting=False, position_step=1, tap_step=None
):
    """Address of a function that computes a tile of P positions x V vectors of maps.

    With p < P, j < V * lanes, S = position_step, and T = tap_step, by default V * lanes:

    out[p * stride + j] = bias[j] + sum over rows r and taps t of
    image[pixel_rows[r] + p * S + t * tap_stride] * filters[filter_rows[r] + t * T + j].

    `adding` adds to what `out` holds in place of the bias, "before" the products or "after" their
    sum. `subtracting` subtracts the products.

    The function's arguments: image; pixel_rows and filter_rows, int32; n_rows in both;
    row_taps, the taps in a row; tap_stride, from one tap's pixel to the next tap's; filters, the
    same tap of some maps side by side; bias; out; stride, from one position to the next in `out`.
    """
    lanes = vector_lanes(dtype)
    tap_step = tap_step or vectors * lanes
    sums = [(p, v) for p in range(positions) for v in range(vectors)]

    def emit(
        e, image, pixel_rows, filter_rows, n_rows, row_taps, tap_stride, filters, bias, out, stride
    ):
        def add_row(row, *totals):
            pixels = e.at(image, e.load_index(pixel_rows, row))
            weights = e.at(filters, e.load_index(filter_rows, row))

            def add_tap(tap, *totals):
                first = e.at(pixels, e.builder.mul(tap, tap_stride))
                own = e.at(weights, e.builder.mul(tap, WORD(tap_step)))
                columns = [e.load(own, v * lanes) for v in range(vectors)]
                added = []
                for p in range(positions):
                    pixel = e.load_number(first, p * position_step)
                    pixel = e.everywhere(e.builder.fneg(pixel) if subtracting else pixel)
                    for v in range(vectors):
                        added.append(e.multiply_add(pixel, columns[v], totals[p * vectors + v]))
                return added

            return e.loop(row_taps, totals, add_tap)

        own = [e.at(out, e.builder.mul(stride, WORD(p))) for p in range(positions)]
        if adding == "after":
            before = [e.zero] * len(sums)
        else:
            before = [e.load(own[p] if adding else bias, v * lanes) for p, v in sums]
        totals = e.loop(n_rows, before, add_row)
        for (p, v), total in zip(sums, totals, strict=True):
            if adding == "after":
                total = e.builder.fadd(e.load(own[p], v * lanes), total)
            e.store(total, own[p], v * lanes)

    kinds = [POINTER] * 3 + [WORD] * 3 + [POINTER] * 3 + [WORD]
    return compile_function(f"tile_{positions}_by_{vectors}", kinds, dtype, lanes, emit)
