"""Functions for products of strips: some neighbouring features of many rows, with few classes.

Strips stand as (strips, rows, S): the S features of a strip, row below row. See `machine_code` for
how the functions are made; a linear classifier's kernels call them.
"""

from functools import cache

import numpy as np
from llvmlite import ir

from minisca.backends.cpu.vectors.machine_code import (
    POINTER,
    WORD,
    compile_function,
    vector_lanes,
)


def strip_length(dtype):
    """S, the features of a strip: two vectors."""
    return 2 * vector_lanes(dtype)


@cache
def fill_function(kind, dtype):
    """Address of a function that cuts a row of numbers of `kind` into strips of `dtype`.

    The function's arguments: source; count, how many numbers; target; stride, from one strip to the
    next.

    Notes
    -----
    A float16 is sign, 5 bits of exponent, 10 of fraction: moved to where float32 has them, the
    number is right but for the exponents' different zero, which is a factor of 2^112. That holds
    for subnormal numbers too, not for infinity and NaN.
    """
    length, lanes = strip_length(dtype), vector_lanes(dtype)
    halves = kind == np.float16
    half, word = ir.IntType(16), ir.IntType(32)

    def emit(e, source, count, target, stride):
        def load(index, n):
            """n numbers from number `index` of the source on, as they are in the strips."""
            from_, to, number = half, word, e.number
            if n > 1:
                from_, to, number = (ir.VectorType(type_, n) for type_ in (half, word, number))
            if not halves:
                return e.load(source, index) if n > 1 else e.load_number(source, index)
            pointer = e.builder.bitcast(e.at(source, index, half), from_.as_pointer())
            bits = e.builder.sext(e.builder.load(pointer, align=2), to)

            def constant(value, type_):
                return ir.Constant(type_, [value] * n if n > 1 else value)

            bits = e.builder.shl(bits, constant(13, to))
            bits = e.builder.and_(bits, constant(-0x70000001, to))
            return e.builder.fmul(e.builder.bitcast(bits, number), constant(2.0**112, number))

        def fill_strip(s):
            start, out = e.builder.mul(s, WORD(length)), e.at(target, e.builder.mul(s, stride))
            for v in range(0, length, lanes):
                e.store(load(e.builder.add(start, WORD(v)), lanes), out, v)
            return []

        def fill_rest(f):
            e.builder.store(load(e.builder.add(filled, f), 1), e.at(rest, f))
            return []

        whole = e.builder.sdiv(count, WORD(length))
        e.loop(whole, [], fill_strip)
        filled, rest = (
            e.builder.mul(whole, WORD(length)),
            e.at(target, e.builder.mul(whole, stride)),
        )
        e.loop(e.builder.sub(count, filled), [], fill_rest)

    return compile_function("fill", [POINTER, WORD, POINTER, WORD], dtype, lanes, emit)


@cache
def project_function(rows, vectors, length, dtype):
    """Address of a function that adds to the scores of a tile of rows x vectors of classes.

    The function's arguments: strips; stride, from one to the next; weights; depth, how many strips;
    sums (rows, vectors).
    """
    lanes = vector_lanes(dtype)
    tile = [(row, v) for row in range(rows) for v in range(vectors)]

    def emit(e, strips, stride, weights, depth, sums):
        def add_strip(s, *totals):
            features = e.at(strips, e.builder.mul(s, stride))
            own = e.at(weights, e.builder.mul(s, WORD(length * vectors * lanes)))

            def add_feature(f, *totals):
                first = e.at(features, f)
                taps = e.at(own, e.builder.mul(f, WORD(vectors * lanes)))
                columns = [e.load(taps, v * lanes) for v in range(vectors)]
                added = []
                for row in range(rows):
                    feature = e.everywhere(e.load_number(first, row * length))
                    for v in range(vectors):
                        total = totals[row * vectors + v]
                        added.append(e.multiply_add(feature, columns[v], total))
                return added

            return e.loop(WORD(length), totals, add_feature)

        totals = e.loop(depth, [e.zero] * len(tile), add_strip)
        for (row, v), total in zip(tile, totals, strict=True):
            place = (row * vectors + v) * lanes
            e.store(e.builder.fadd(e.load(sums, place), total), sums, place)

    kinds = [POINTER, WORD, POINTER, WORD, POINTER]
    return compile_function("project", kinds, dtype, lanes, emit)


@cache
def accumulate_function(n_classes, vectors, length, dtype):
    """Address of a function that adds to the gradient of all classes by some vectors of features.

    The function's arguments: features, of a strip; residuals (n_rows, n_classes); n_rows; sums
    (n_classes, vectors).
    """
    lanes = vector_lanes(dtype)
    tile = [(c, v) for c in range(n_classes) for v in range(vectors)]

    def emit(e, features, residuals, n_rows, sums):
        def add_row(row, *totals):
            first = e.at(features, e.builder.mul(row, WORD(length)))
            own = e.at(residuals, e.builder.mul(row, WORD(n_classes)))
            columns = [e.load(first, v * lanes) for v in range(vectors)]
            added = []
            for c in range(n_classes):
                residual = e.everywhere(e.load_number(own, c))
                for v in range(vectors):
                    added.append(e.multiply_add(residual, columns[v], totals[c * vectors + v]))
            return added

        before = [e.load(sums, (c * vectors + v) * lanes) for c, v in tile]
        totals = e.loop(n_rows, before, add_row)
        for (c, v), total in zip(tile, totals, strict=True):
            e.store(total, sums, (c * vectors + v) * lanes)

    return compile_function("accumulate", [POINTER, POINTER, WORD, POINTER], dtype, lanes, emit)
