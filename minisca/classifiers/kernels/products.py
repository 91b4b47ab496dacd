"""Products of many rows of features with few classes, for the classifier's loss and gradient.

A general matrix product is slow where one side has ten columns, and it wants its numbers in
float32. Here a block of rows is first cut into strips, (strips, rows, S): the S neighbouring
features of a strip, row below row, in float32 or float64. A tile of rows is then summed up for all
classes at once, and a strip of the gradient stands in registers while all rows of the block pass.
The features are read from memory once, and the block stays in cache.
"""

from functools import cache

import numpy as np
from llvmlite import ir

from minisca.backends.cpu.runtime import aligned_zeros, ceil_div, in_parallel, kernel, plain, share
from minisca.backends.cpu.vectors.machine_code import (
    POINTER,
    TILE_SUMS,
    VECTOR_BYTES,
    WORD,
    call,
    compile_function,
    vector_lanes,
)

#: Classes that are summed up at a time.
GROUP = 16
#: Pieces of work that strips are cut into.
PIECES = 32
#: Strips whose products are summed up in registers before they are added to the others'.
DEPTH = 4
#: Strips that are cut at a time: a page of every row, or memory would not read ahead.
FILL = 32
#: Tiles of rows that pass while some strips' weights are in the first-level cache.
TILES = 2


def strip_length(dtype):
    """S, the features of a strip: two vectors."""
    return 2 * vector_lanes(dtype)


def make_strips(rows, n_features, dtype):
    """Memory for a block of so many rows, strips (strips, rows, S); what fills them up is zero."""
    length = strip_length(dtype)
    rows = ceil_div(rows, TILE_SUMS) * TILE_SUMS  # whole tiles, however many rows they have
    row_bytes = length * np.dtype(dtype).itemsize
    rows += (1024 - rows * row_bytes) % 4096 // row_bytes  # strips a page apart share cache lines
    return np.zeros((ceil_div(n_features, length), rows, length), dtype)


def pack_weights(weights):
    """weights (classes, f) as `project` wants them: (groups, strips * S, lanes of a group)."""
    n_classes, n_features = weights.shape
    length = strip_length(weights.dtype)
    groups, lanes = ceil_div(n_classes, GROUP), _lanes_of_group(weights.dtype)
    packed = np.zeros((groups, ceil_div(n_features, length) * length, lanes), weights.dtype)
    for group, classes in zip(packed, _groups(n_classes), strict=True):
        group[:n_features, : classes.stop - classes.start] = weights[classes].T
    return packed


def project(block, packed, n_classes, strips):
    """block (n, f), float16, float32 or float64, times the weights: (n, n_classes).

    The block's rows are left in `strips`. Halves must be finite.
    """
    vectors = packed.shape[2] * strips.itemsize // VECTOR_BYTES
    rows = TILE_SUMS // vectors
    function = _project_function(rows, vectors, strips.shape[2], strips.dtype)
    projected = np.empty((len(block), n_classes), strips.dtype)
    fill = _fill_function(block.dtype, strips.dtype)
    if block.dtype == np.float16:
        block = block.view(np.int16)
    pieces = ceil_div(len(block), rows * TILES)
    in_parallel(_project, pieces, *plain(block), packed, rows, fill, function, strips, projected)
    return projected


@kernel
def _project(piece, block, packed, rows, fill, function, strips, projected):
    n, n_features = block.shape
    length, span = strips.shape[2], rows * TILES
    stride = strips.shape[1] * length
    flat = strips.reshape(-1)
    sums = aligned_zeros(len(packed) * span * packed.shape[2], strips.dtype)
    for first in range(0, len(strips), FILL):
        end = min(first + FILL, len(strips))
        for row in range(piece * span, min((piece + 1) * span, n)):
            count = min(end * length, n_features) - first * length
            target = flat[first * stride + row * length :]
            call(fill, (block, row * n_features + first * length), count, target, stride)
        for some in range(first, end, DEPTH):
            few = min(some + DEPTH, end)
            _add_strips(piece * span, some, few, n, packed, rows, function, strips, sums)
    _take_sums(piece * span, sums, span, packed.shape[2], projected)


@kernel
def _add_strips(first_row, first, end, n, packed, rows, function, strips, sums):
    """Add some strips' products to sums (groups, rows * TILES, lanes), flat."""
    features, length, width = strips.reshape(-1), strips.shape[2], packed.shape[2]
    stride = strips.shape[1] * length
    for group in range(len(packed)):
        weights = packed[group].reshape(-1)[first * length * width :]
        for tile in range(TILES):
            row = first_row + tile * rows
            if row < n:
                own = ((group * TILES + tile) * rows) * width
                tile_rows, out = (features, first * stride + row * length), (sums, own)
                call(function, tile_rows, stride, weights, end - first, out)


@kernel
def _take_sums(first_row, sums, span, width, projected):
    n, n_classes = projected.shape
    for row in range(first_row, min(first_row + span, n)):
        for c in range(n_classes):
            own = (c // GROUP * span + row - first_row) * width
            projected[row, c] = sums[own + c % GROUP]


def accumulate_(gradient, residuals, strips):
    """gradient (classes, f) += the transpose of residuals (n, classes) times the strips' rows."""
    for classes in _groups(len(gradient)):
        own = np.ascontiguousarray(residuals[:, classes])
        vectors = 2 if 2 * own.shape[1] <= TILE_SUMS else 1
        function = _accumulate_function(own.shape[1], vectors, strips.shape[2], strips.dtype)
        in_parallel(_accumulate, PIECES, strips, own, vectors, function, gradient[classes])


@kernel
def _accumulate(piece, strips, residuals, vectors, function, gradient):
    n, n_classes = residuals.shape
    length, n_features = strips.shape[2], gradient.shape[1]
    scales, width = residuals.reshape(-1), vectors * length // 2
    sums = aligned_zeros(n_classes * width, strips.dtype)
    first, end = share(piece, PIECES, len(strips))
    for s in range(first, end):
        for part in range(0, length, width):
            start = s * length + part
            count = max(0, min(width, n_features - start))
            for c in range(n_classes):
                for f in range(count):
                    sums[c * width + f] = gradient[c, start + f]
            call(function, (strips, s * strips.shape[1] * length + part), scales, n, sums)
            for c in range(n_classes):
                for f in range(count):
                    gradient[c, start + f] = sums[c * width + f]


def _groups(n_classes):
    return [slice(c, min(c + GROUP, n_classes)) for c in range(0, n_classes, GROUP)]


def _lanes_of_group(dtype):
    lanes = vector_lanes(dtype)
    return ceil_div(GROUP, lanes) * lanes


@cache
def _fill_function(kind, dtype):
    """Address of a function that cuts a row into strips: numbers of `kind` into strips of `dtype`.

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
def _project_function(rows, vectors, length, dtype):
    """Address of a function that adds up the products of a tile of rows x vectors of classes."""
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
def _accumulate_function(n_classes, vectors, length, dtype):
    """Address of a function that adds to the gradient, all classes and some features."""
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
