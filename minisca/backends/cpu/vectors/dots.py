"""Inner products of some rows of numbers with others, all of a tile in registers at once."""

from functools import cache

from minisca.backends.cpu.vectors.machine_code import (
    POINTER,
    REGISTERS,
    WORD,
    compile_function,
    vector_lanes,
)

#: Rows on the left and on the right of a tile: of each a vector stands in a register, and of every
#: pair the vector of sums.
LEFT, RIGHT = (4, 6) if REGISTERS == 32 else (3, 4)


@cache
def dots_function(right, dtype):
    """Address of a function of inner products of LEFT rows with `right` others, at most RIGHT.

    out[l * out_stride + r] += the sum of a[l * stride + i] * b[r * b_stride + i] over i, which is
    added up lane by lane. No sum depends on what else is in the tile.

    The function's arguments: a, stride, b, b_stride; vectors, how many a row has; out, out_stride.
    """
    lanes = vector_lanes(dtype)
    pairs = [(row, column) for row in range(LEFT) for column in range(right)]

    def emit(e, a, stride, b, b_stride, vectors, out, out_stride):
        rows = [e.at(a, e.builder.mul(stride, WORD(row))) for row in range(LEFT)]
        columns = [e.at(b, e.builder.mul(b_stride, WORD(column))) for column in range(right)]

        def add(vector, *totals):
            index = e.builder.mul(vector, WORD(lanes))
            own = [e.load(row, index) for row in rows]
            added = {}
            for column, place in enumerate(columns):
                other = e.load(place, index)  # one at a time: registers are few
                for row in range(LEFT):
                    total = totals[pairs.index((row, column))]
                    added[row, column] = e.multiply_add(own[row], other, total)
            return [added[pair] for pair in pairs]

        totals = e.loop(vectors, [e.zero] * len(pairs), add)
        for (row, column), total in zip(pairs, totals, strict=True):
            place = e.at(out, e.builder.mul(out_stride, WORD(row)))
            before = e.load_number(place, column)
            e.builder.store(e.builder.fadd(before, e.sum_of_lanes(total)), e.at(place, column))

    kinds = [POINTER, WORD, POINTER, WORD, WORD, POINTER, WORD]
    return compile_function(f"dots_{LEFT}_by_{right}", kinds, dtype, lanes, emit)
