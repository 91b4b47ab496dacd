"""The register tile behind every convolution on the CPU: P positions x V vectors of maps.

All products of a tile are summed in registers. One pixel is multiplied with a vector of taps, one
of each of some neighbouring maps. So no lane is wasted whatever the image's width, and the largest
unit of a map is found lane by lane. The filter rows come as a list: rows that would meet only zero
pixels are left out of it.

A linear classifier's products run through the same tile: rows of features are its positions,
classes its maps.
"""

from functools import cache

from llvmlite import ir

from minisca.backends.cpu.vectors.machine_code import (
    INDEX,
    POINTER,
    WORD,
    compile_function,
    vector_lanes,
)


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
        own = [e.at(out, e.builder.mul(stride, WORD(p))) for p in range(positions)]
        if adding == "after":
            before = [e.zero] * len(sums)
        else:
            before = [e.load(own[p] if adding else bias, v * lanes) for p, v in sums]
        rows = image, pixel_rows, filter_rows, n_rows, row_taps, tap_stride, filters
        shape = positions, vectors, position_step, tap_step
        totals = _add_products(e, shape, subtracting, rows, before)
        for (p, v), total in zip(sums, totals, strict=True):
            if adding == "after":
                total = e.builder.fadd(e.load(own[p], v * lanes), total)
            e.store(total, own[p], v * lanes)

    kinds = [POINTER] * 3 + [WORD] * 3 + [POINTER] * 3 + [WORD]
    return compile_function(f"tile_{positions}_by_{vectors}", kinds, dtype, lanes, emit)


def _add_products(e, shape, subtracting, rows, totals):
    """Emit the products of a tile: P * V vectors of sums, to which they are added.

    shape: P, V, S and T; rows: the first seven arguments, of `tile_function`.
    """
    positions, vectors, position_step, tap_step = shape
    image, pixel_rows, filter_rows, n_rows, row_taps, tap_stride, filters = rows

    def add_row(row, *totals):
        own_pixels = e.at(image, e.load_index(pixel_rows, row))
        weights = e.at(filters, e.load_index(filter_rows, row))

        def add_tap(tap, *totals):
            first = e.at(own_pixels, e.builder.mul(tap, tap_stride))
            own = e.at(weights, e.builder.mul(tap, WORD(tap_step)))

            def column_of(v):
                return e.load(own, v * e.lanes)

            def pixel_of(p):
                pixel = e.load_number(first, p * position_step)
                return e.everywhere(e.builder.fneg(pixel) if subtracting else pixel)

            # The fewer stay in registers while the others come one by one.
            added = list(totals)
            if vectors > positions:
                pixels = [pixel_of(p) for p in range(positions)]
                for v in range(vectors):
                    column = column_of(v)
                    for p in range(positions):
                        at = p * vectors + v
                        added[at] = e.multiply_add(pixels[p], column, totals[at])
            else:
                columns = [column_of(v) for v in range(vectors)]
                for p in range(positions):
                    pixel = pixel_of(p)
                    for v in range(vectors):
                        at = p * vectors + v
                        added[at] = e.multiply_add(pixel, columns[v], totals[at])
            return added

        return e.loop(row_taps, totals, add_tap)

    return e.loop(n_rows, totals, add_row)


@cache
def winners_tile_function(positions, vectors, dtype):
    """Address of a function that keeps the largest unit of each map of a tile, P x V vectors.

    The units are those that `tile_function` computes; which is kept, and where, is as in
    `lanes.keep_largest_function`.

    The function's arguments: the first eight of `tile_function`; first_position, of the tile's
    first unit; largest, found.
    """
    lanes = vector_lanes(dtype)
    step = vectors * lanes
    indices = ir.VectorType(INDEX, lanes)

    def emit(
        e,
        image,
        pixel_rows,
        filter_rows,
        n_rows,
        row_taps,
        tap_stride,
        filters,
        bias,
        first_position,
        largest,
        found,
    ):
        before = [e.load(bias, v * lanes) for v in range(vectors)] * positions
        rows = image, pixel_rows, filter_rows, n_rows, row_taps, tap_stride, filters
        totals = _add_products(e, (positions, vectors, 1, step), False, rows, before)
        for v in range(vectors):
            place = e.builder.bitcast(e.at(found, v * lanes, INDEX), indices.as_pointer())
            kept = e.load(largest, v * lanes), e.builder.load(place, align=4)
            for p in range(positions):
                here = e.builder.trunc(e.builder.add(first_position, WORD(p)), INDEX)
                here = e.everywhere(here, indices)
                kept = e.keep_larger(totals[p * vectors + v], here, kept)
            e.store(kept[0], largest, v * lanes)
            e.builder.store(kept[1], place, align=4)

    kinds = [POINTER] * 3 + [WORD] * 3 + [POINTER] * 2 + [WORD] + [POINTER] * 2
    return compile_function(f"winners_{positions}_by_{vectors}", kinds, dtype, lanes, emit)
