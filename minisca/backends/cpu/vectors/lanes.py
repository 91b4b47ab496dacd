"""What is done with a block of maps in cache, where neighbouring maps lie in a vector's lanes.

The functions (see `machine_code`) find the largest unit of every map, or of every pooling window.
They keep what is largest so far in registers, lane by lane. Pooled maps are transposed last: from
neighbouring maps side by side to neighbouring positions side by side.
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
def keep_largest_function(block, dtype):
    """Address of a function that keeps the largest unit of each map of a block of MB maps.

    Where a unit of maps (n_positions, MB) is larger than `largest` (MB,), it is kept there, and its
    position in `found` (MB,), int32. Of equal units the first is kept.

    The function's arguments: maps, n_positions, first_position (of the unit maps[0]), largest,
    found.
    """
    lanes = vector_lanes(dtype)
    vectors = block // lanes
    indices = ir.VectorType(INDEX, lanes)

    def emit(e, maps, n_positions, first_position, largest, found):
        def indices_at(v):
            return e.builder.bitcast(e.at(found, v * lanes, INDEX), indices.as_pointer())

        def compare(p, *kept):
            own = e.at(maps, e.builder.mul(p, WORD(block)))
            here = e.builder.trunc(e.builder.add(first_position, p), INDEX)
            here = e.everywhere(here, indices)
            pairs = zip(kept[:vectors], kept[vectors:], strict=True)
            found = [
                e.keep_larger(e.load(own, v * lanes), here, pair) for v, pair in enumerate(pairs)
            ]
            return [vector for vectors_of in zip(*found, strict=True) for vector in vectors_of]

        kept = [e.load(largest, v * lanes) for v in range(vectors)]
        kept += [e.builder.load(indices_at(v), align=4) for v in range(vectors)]
        kept = e.loop(n_positions, kept, compare)
        for v in range(vectors):
            e.store(kept[v], largest, v * lanes)
            e.builder.store(kept[vectors + v], indices_at(v), align=4)

    kinds = [POINTER, WORD, WORD, POINTER, POINTER]
    return compile_function("keep_largest", kinds, dtype, lanes, emit)


@cache
def pool_function(block, dtype):
    """Address of a function that finds the largest unit, at least 0, of a window of MB maps.

    The function's arguments: maps (positions, MB), the pointer to the window's first position;
    row_stride, numbers from one of its rows to the next; rows and columns of the window; out (MB,).
    """
    lanes = vector_lanes(dtype)
    vectors = block // lanes

    def emit(e, maps, row_stride, rows, columns, out):
        def over_rows(row, *largest):
            positions = e.at(maps, e.builder.mul(row, row_stride))

            def over_columns(column, *largest):
                own = e.at(positions, e.builder.mul(column, WORD(block)))
                found = []
                for v, value in enumerate(largest):
                    unit = e.load(own, v * lanes)
                    larger = e.builder.fcmp_ordered(">", unit, value)
                    found.append(e.builder.select(larger, unit, value))
                return found

            return e.loop(columns, largest, over_columns)

        largest = e.loop(rows, [e.zero] * vectors, over_rows)
        for v, value in enumerate(largest):
            e.store(value, out, v * lanes)

    kinds = [POINTER, WORD, WORD, WORD, POINTER]
    return compile_function("pool", kinds, dtype, lanes, emit)


@cache
def transpose_function(dtype):
    """Address of a function that transposes a square of numbers, as many a side as lanes.

    out[j * out_stride + i] = block[i * stride + j].

    The function's arguments: block, stride, out, out_stride.
    """
    lanes = vector_lanes(dtype)

    def emit(e, block, stride, out, out_stride):
        rows = [e.load(e.at(block, e.builder.mul(stride, WORD(i))), 0) for i in range(lanes)]
        for i, row in enumerate(e.transposed(rows)):
            e.store(row, e.at(out, e.builder.mul(out_stride, WORD(i))), 0)

    kinds = [POINTER, WORD, POINTER, WORD]
    return compile_function("transpose", kinds, dtype, lanes, emit)
