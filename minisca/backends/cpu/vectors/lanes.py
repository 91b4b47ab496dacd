"""What is done with a block of maps in cache, where neighbouring maps lie in a vector's lanes.

The largest unit of every map, and the largest of a pooling window, without any step across lanes:
vector functions (see `machine_code`) that keep what is largest so far in registers. Only what is
left of the maps then is turned, from places of neighbouring maps to maps of neighbouring places.
"""

from functools import cache

from llvmlite import ir
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
def keep_largest_function(block, dtype):
    """Address of the function that `keep_largest` calls, for blocks of so many maps."""
    lanes = vector_lanes(dtype)
    vectors = block // lanes
    indices = ir.VectorType(INDEX, lanes)

    def emit(e, maps, n_places, first_place, largest, place):
        def indices_at(v):
            return e.builder.bitcast(e.at(place, v * lanes, INDEX), indices.as_pointer())

        def compare(p, *kept):
            own = e.at(maps, e.builder.mul(p, WORD(block)))
            here = e.builder.trunc(e.builder.add(first_place, p), INDEX)
            here = e.everywhere(here, indices)
            values, places = [], []
            for v, (value, where) in enumerate(zip(kept[:vectors], kept[vectors:], strict=True)):
                unit = e.load(own, v * lanes)
                wins = e.builder.fcmp_ordered(">", unit, value)
                values.append(e.builder.select(wins, unit, value))
                places.append(e.builder.select(wins, here, where))
            return values + places

        kept = [e.load(largest, v * lanes) for v in range(vectors)]
        kept += [e.builder.load(indices_at(v), align=4) for v in range(vectors)]
        kept = e.loop(n_places, kept, compare)
        for v in range(vectors):
            e.store(kept[v], largest, v * lanes)
            e.builder.store(kept[vectors + v], indices_at(v), align=4)

    kinds = [POINTER, WORD, WORD, POINTER, POINTER]
    return compile_function("keep_largest", kinds, dtype, lanes, emit)


@intrinsic
def keep_largest(typing_context, function, maps, n_places, first_place, largest, place):
    """Where a unit of maps (n_places, MB) is larger than `largest` (MB,), keep it and its place.

    Places count from first_place; place (MB,) is int32. Of equal units the first is kept.
    """
    word = types.int64
    return types.void(word, maps, word, word, largest, place), lower_call


@cache
def pool_function(block, dtype):
    """Address of the function that `pool` calls, for blocks of so many maps."""
    lanes = vector_lanes(dtype)
    vectors = block // lanes

    def emit(e, maps, start, line, rows, columns, out, first):
        corner = e.at(maps, start)

        def over_rows(row, *largest):
            places = e.at(corner, e.builder.mul(row, line))

            def over_columns(column, *largest):
                own = e.at(places, e.builder.mul(column, WORD(block)))
                found = []
                for v, value in enumerate(largest):
                    unit = e.load(own, v * lanes)
                    larger = e.builder.fcmp_ordered(">", unit, value)
                    found.append(e.builder.select(larger, unit, value))
                return found

            return e.loop(columns, largest, over_columns)

        largest = e.loop(rows, [e.zero] * vectors, over_rows)
        for v, value in enumerate(largest):
            e.store(value, e.at(out, first), v * lanes)

    kinds = [POINTER, WORD, WORD, WORD, WORD, POINTER, WORD]
    return compile_function("pool", kinds, dtype, lanes, emit)


@intrinsic
def pool(typing_context, function, maps, start, line, rows, columns, out, first):
    """out[first : first + MB] = largest unit, at least 0, of a window of rows x columns places.

    The window begins at number `start` of maps (places, MB); its rows are `line` numbers apart.
    """
    word = types.int64
    return types.void(word, maps, word, word, word, word, out, word), lower_call


@cache
def turn_function(dtype):
    """Address of the function that `turn` calls."""
    lanes = vector_lanes(dtype)

    def emit(e, block, start, stride, out, first, out_stride):
        corner, target = e.at(block, start), e.at(out, first)
        rows = [e.load(e.at(corner, e.builder.mul(stride, WORD(i))), 0) for i in range(lanes)]
        step = 1
        while step < lanes:
            rows = _swap_off_diagonal(e, rows, step)
            step *= 2
        for i, row in enumerate(rows):
            e.store(row, e.at(target, e.builder.mul(out_stride, WORD(i))), 0)

    kinds = [POINTER, WORD, WORD, POINTER, WORD, WORD]
    return compile_function("turn", kinds, dtype, lanes, emit)


def _swap_off_diagonal(e, rows, step):
    """Of every square of 2 x 2 squares of `step` rows and columns, swap the two off the diagonal.

    With steps 1, 2, 4, ... that transposes the whole: each step exchanges one bit of the row's
    number with the same bit of the column's.
    """
    lanes = e.lanes
    upper = [lane - step + lanes if lane & step else lane for lane in range(lanes)]
    lower = [lane + lanes if lane & step else lane + step for lane in range(lanes)]
    swapped = list(rows)
    for i in range(lanes):
        if not i & step:
            swapped[i] = e.shuffle(rows[i], rows[i + step], upper)
            swapped[i + step] = e.shuffle(rows[i], rows[i + step], lower)
    return swapped


@intrinsic
def turn(typing_context, function, block, start, stride, out, first, out_stride):
    """out[first + j * out_stride + i] = block[start + i * stride + j] for i and j below a vector's
    lanes.
    """
    word = types.int64
    return types.void(word, block, word, word, out, word, word), lower_call
