"""What is done with survivors' patches, as vector functions (see `machine_code`).

A patch is k runs, `stride` numbers apart, in a sliced image (see `slices`); a sliced filter is k
runs one after another. A patch is held in registers, as many rows of it as fit, while many
survivors pass: each number of an image is loaded once for one or two multiplications, and nothing
is stored but the sums.
"""

from functools import cache

import numpy as np
from numba import types
from numba.extending import intrinsic

from minisca.backends.cpu.vectors.machine_code import (
    PATCH_SUMS,
    POINTER,
    VECTOR_BYTES,
    WORD,
    compile_function,
    lower_call,
    number_type,
    vector_lanes,
)

#: Runs are padded to a multiple of this many numbers.
LANES = 8


def lanes_of(run, dtype):
    """Numbers in the vectors that a run is cut into."""
    widest = vector_lanes(dtype)
    return widest if widest > LANES and run % widest == 0 else LANES


def rows_at_a_time(k, run, dtype):
    """Rows of a patch whose sums are held in registers at a time, evenly shared out."""
    registers = run * np.dtype(dtype).itemsize // VECTOR_BYTES
    most = max(1, PATCH_SUMS // max(1, registers))
    groups = -(-k // most)
    return -(-k // groups)


@cache
def paste_function(k, run, dtype):
    """Address of the function that `paste` calls."""
    lanes = lanes_of(run, dtype)
    number = number_type(dtype)

    def emit(e, image, places, stride, filters, owners, values, first, end):
        def paste_one(slot):
            value = e.load_number(values, slot)
            silent = e.builder.fcmp_ordered("==", value, number(0))
            with e.builder.if_then(e.builder.not_(silent)):
                target = e.at(image, e.load_word(places, slot))
                source = e.at(filters, e.builder.mul(e.load_word(owners, slot), WORD(k * run)))
                scale = e.everywhere(value)

                def paste_row(row):
                    to = e.at(target, e.builder.mul(row, stride))
                    of = e.at(source, e.builder.mul(row, WORD(run)))
                    for v in range(0, run, lanes):
                        e.store(e.multiply_add(scale, e.load(of, v), e.load(to, v)), to, v)
                    return []

                e.loop(WORD(k), [], paste_row)

        def body(index):
            paste_one(e.builder.add(first, index))
            return []

        e.loop(e.builder.sub(end, first), [], body)

    kinds = [POINTER, POINTER, WORD, POINTER, POINTER, POINTER, WORD, WORD]
    return compile_function("paste", kinds, dtype, lanes, emit)


@intrinsic
def paste(typing_context, function, image, places, stride, filters, owners, values, first, end):
    """Add to the patch at places[s] of an image values[s] times filter owners[s], slot by slot.

    For the slots s of range(first, end). places and owners are int64.
    """
    signature = types.void(
        types.int64, image, places, types.int64, filters, owners, values, types.int64, types.int64
    )
    return signature, lower_call


@cache
def sum_function(rows, run, dtype, correlating):
    """Address of the function that `sum_patches` or `sum_and_correlate` calls, for so many rows."""
    lanes = lanes_of(run, dtype)
    columns = [(row, v) for row in range(rows) for v in range(0, run, lanes)]

    def emit(e, images, places, stride, scales, first, end, sums, filters, products):
        starts = [e.builder.mul(stride, WORD(row)) for row in range(rows)]
        held = [e.load(sums, row * run + v) for row, v in columns]

        def body(index, *held):
            entry = e.builder.add(first, index)
            patch = e.at(images, e.load_word(places, entry))
            scale = e.everywhere(e.load_number(scales, entry))
            chains, totals = [None, None], []
            for turn, ((row, v), total) in enumerate(zip(columns, held, strict=True)):
                pixels = e.load(e.at(patch, starts[row]), v)
                totals.append(e.multiply_add(scale, pixels, total))
                if correlating:
                    weights, chain = e.load(filters, row * run + v), chains[turn % 2]
                    chains[turn % 2] = (
                        e.builder.fmul(pixels, weights)
                        if chain is None
                        else e.multiply_add(pixels, weights, chain)
                    )
            if correlating:
                product = chains[0] if chains[1] is None else e.builder.fadd(*chains)
                added = e.builder.fadd(e.load_number(products, entry), e.sum_of_lanes(product))
                e.builder.store(added, e.at(products, entry))
            return totals

        held = e.loop(e.builder.sub(end, first), held, body)
        for (row, v), total in zip(columns, held, strict=True):
            e.store(total, sums, row * run + v)

    kinds = [POINTER, POINTER, WORD, POINTER, WORD, WORD, POINTER, POINTER, POINTER]
    return compile_function("sum_patches", kinds, dtype, lanes, emit)


@intrinsic
def sum_patches(
    typing_context, function, images, places, stride, scales, first, end, sums, filters, products
):
    """sums += scales[e] * the patch at places[e], for the entries e of range(first, end).

    In sliced images, whose rows are `stride` apart; places is int64. A correlating function also
    adds to products[e] the inner product of the patch and `filters`, shaped as `sums`.
    """
    word = types.int64
    signature = types.void(word, images, places, word, scales, word, word, sums, filters, products)
    return signature, lower_call
