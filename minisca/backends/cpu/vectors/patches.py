"""What is done with survivors' patches and sliced filters, as vector functions (`machine_code`).

A patch is k runs, `stride` numbers apart, in a sliced image (see `kernels.slices`). A sliced filter
is k runs one after another. The sums of a patch, or of some of its rows, stay in registers while
many survivors pass: a number of an image is loaded once for one or two multiplications.
"""

from functools import cache
from itertools import product

import numpy as np

from minisca.backends.cpu.vectors.machine_code import (
    PATCH_SUMS,
    POINTER,
    VECTOR_BYTES,
    WORD,
    compile_function,
    vector_lanes,
)
from minisca.chunks import ceil_div

#: Runs are padded to a multiple of this many numbers, and vectors have at least as many.
LEAST_LANES = 8


def lanes_of(run, dtype):
    """Numbers in the vectors that a run is cut into."""
    widest = vector_lanes(dtype)
    return widest if widest > LEAST_LANES and run % widest == 0 else LEAST_LANES


def rows_at_a_time(k, run, dtype):
    """Rows of a patch whose sums are held in registers at a time, evenly shared out."""
    registers = run * np.dtype(dtype).itemsize // VECTOR_BYTES
    most = max(1, PATCH_SUMS // max(1, registers))
    return ceil_div(k, ceil_div(k, most))


@cache
def slice_function(k, per_slice, run, dtype, back=False):
    """Address of a function that moves a filter's channels of one slice into k runs, or back.

    That is a transposition. It is done by squares of as many channels and taps as a vector has
    lanes, the last of which overlap those before; one by one where the slice has fewer channels.
    The padding of a run is left as it is.

    The function's arguments: filters, the pointer to the first tap; channels, how many; sliced.
    """
    taps, lanes = k * k, vector_lanes(dtype)
    squares = min(taps, per_slice) >= lanes

    def slot_of(tap):
        return tap // k * run + tap % k * per_slice

    def emit(e, filters, channels, sliced):
        def move_channel(c):
            own, slots = e.at(filters, e.builder.mul(c, WORD(taps))), e.at(sliced, c)
            for t in range(taps):
                tap, slot = e.at(own, t), e.at(slots, slot_of(t))
                source, target = (slot, tap) if back else (tap, slot)
                e.builder.store(e.builder.load(source), target)
            return []

        def move_squares(_):
            for c, t in product(_starts(per_slice, lanes), _starts(taps, lanes)):
                by_channel = [((c + i) * taps + t) for i in range(lanes)]
                by_tap = [slot_of(t + j) + c for j in range(lanes)]
                ends = [(filters, by_channel), (sliced, by_tap)]
                (source, rows), (target, columns) = reversed(ends) if back else ends
                found = e.transposed([e.load(source, row) for row in rows])
                for vector, column in zip(found, columns, strict=True):
                    e.store(vector, target, column)
            return []

        if squares:
            is_whole = e.builder.icmp_signed("==", channels, WORD(per_slice))
            e.loop(e.builder.zext(is_whole, WORD), [], move_squares)
            channels = e.builder.select(is_whole, WORD(0), channels)
        e.loop(channels, [], move_channel)

    return compile_function("slice_filter", [POINTER, WORD, POINTER], dtype, lanes, emit)


def _starts(length, lanes):
    """Where squares begin that cover `length`, the last one within it."""
    return [min(start, length - lanes) for start in range(0, length, lanes)]


@cache
def paste_function(k, run, dtype):
    """Address of a function that adds value times filter to a patch, for some slots of an image.

    The function's arguments: image; for each slot offsets (of its patch in the image, int64),
    owners (its filter's number, int64), values; n_slots; stride, from one row of the image to the
    next; filters, sliced.
    """
    lanes = lanes_of(run, dtype)

    def emit(e, image, offsets, owners, values, n_slots, stride, filters):
        def paste_slot(slot):
            target = e.at(image, e.load_word(offsets, slot))
            source = e.at(filters, e.builder.mul(e.load_word(owners, slot), WORD(k * run)))
            scale = e.everywhere(e.load_number(values, slot))

            def paste_row(row):
                to = e.at(target, e.builder.mul(row, stride))
                of = e.at(source, e.builder.mul(row, WORD(run)))
                for v in range(0, run, lanes):
                    e.store(e.multiply_add(scale, e.load(of, v), e.load(to, v)), to, v)
                return []

            e.loop(WORD(k), [], paste_row)
            return []

        e.loop(n_slots, [], paste_slot)

    kinds = [POINTER, POINTER, POINTER, POINTER, WORD, WORD, POINTER]
    return compile_function("paste", kinds, dtype, lanes, emit)


@cache
def sum_function(rows, run, dtype, correlating):
    """Address of a function that sums some survivors' patches times their scales, so many rows.

    `correlating` also adds to each survivor's product the inner product of its patch and a filter.

    The function's arguments: images, sliced; for each survivor offsets (of its patch, int64),
    scales, products; n_survivors; stride, from one row of an image to the next; sums, which it adds
    to; filter, shaped as sums.
    """
    lanes = lanes_of(run, dtype)
    columns = [(row, v) for row in range(rows) for v in range(0, run, lanes)]

    def emit(e, images, offsets, scales, products, n_survivors, stride, sums, filter_):
        starts = [e.builder.mul(stride, WORD(row)) for row in range(rows)]
        held = [e.load(sums, row * run + v) for row, v in columns]

        def add_patch(survivor, *held):
            patch = e.at(images, e.load_word(offsets, survivor))
            scale = e.everywhere(e.load_number(scales, survivor))
            chains, totals = [e.zero, e.zero], []
            for i, ((row, v), total) in enumerate(zip(columns, held, strict=True)):
                pixels = e.load(e.at(patch, starts[row]), v)
                totals.append(e.multiply_add(scale, pixels, total))
                if correlating:
                    weights = e.load(filter_, row * run + v)
                    chains[i % 2] = e.multiply_add(pixels, weights, chains[i % 2])
            if correlating:
                product = e.sum_of_lanes(e.builder.fadd(*chains))
                added = e.builder.fadd(e.load_number(products, survivor), product)
                e.builder.store(added, e.at(products, survivor))
            return totals

        held = e.loop(n_survivors, held, add_patch)
        for (row, v), total in zip(columns, held, strict=True):
            e.store(total, sums, row * run + v)

    kinds = [POINTER, POINTER, POINTER, POINTER, WORD, WORD, POINTER, POINTER]
    return compile_function("sum_patches", kinds, dtype, lanes, emit)
