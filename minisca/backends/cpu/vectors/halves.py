"""From float32 to float16, a vector at a time."""

from functools import cache

import numpy as np
from llvmlite import ir

from minisca.backends.cpu.vectors.machine_code import POINTER, WORD, compile_function, vector_lanes

#: Float32's bits of the smallest normal float16, and of the smallest number that is too large.
NORMAL, TOO_LARGE = 0x38800000, 0x477FF000


@cache
def narrow_function():
    """Address of a function that rounds float32 to the nearest float16, of two to the even one.

    The function's arguments: numbers; count, how many vectors of them; halves; largest, a vector of
    int32, to which the largest magnitudes that a lane has met are written, as float32's bits. Where
    these reach `TOO_LARGE` (infinities and NaN do) the halves are not what was asked for.

    Notes
    -----
    Float32 has 13 bits of fraction more, and its exponent is larger by 112. What is added before
    the 13 are dropped is half a unit of the last place that stays, less one where that is even. A
    float16 below `NORMAL` is a multiple of 2^-24, as is a float32 from 1/2 to 1: the sum with 1/2
    is rounded to it.
    """
    lanes = vector_lanes(np.float32)
    words, halves_of = (ir.VectorType(ir.IntType(bits), lanes) for bits in (32, 16))

    def everywhere(number):
        return ir.Constant(words, [number] * lanes)

    def emit(e, numbers, count, halves, largest):
        b, half = e.builder, 0x3F000000

        def narrow(index, most):
            start = b.mul(index, WORD(lanes))
            bits = b.bitcast(e.load(numbers, start), words)
            magnitude = b.and_(bits, everywhere(0x7FFFFFFF))
            is_odd = b.and_(b.lshr(magnitude, everywhere(13)), everywhere(1))
            shifted = b.add(b.add(magnitude, everywhere(0xFFF - (112 << 23))), is_odd)
            sum_ = b.fadd(b.bitcast(magnitude, e.vector), b.bitcast(everywhere(half), e.vector))
            small = b.sub(b.bitcast(sum_, words), everywhere(half))
            is_small = b.icmp_signed("<", magnitude, everywhere(NORMAL))
            made = b.select(is_small, small, b.lshr(shifted, everywhere(13)))
            sign = b.and_(b.lshr(bits, everywhere(16)), everywhere(0x8000))
            place = e.at(halves, start, halves_of.element)
            place = b.bitcast(place, halves_of.as_pointer())
            b.store(b.trunc(b.or_(made, sign), halves_of), place, align=2)
            return [b.select(b.icmp_signed(">", magnitude, most), magnitude, most)]

        (most,) = e.loop(count, [everywhere(0)], narrow)
        b.store(most, b.bitcast(largest, words.as_pointer()), align=4)

    return compile_function("narrow", [POINTER, WORD, POINTER, POINTER], np.float32, lanes, emit)
