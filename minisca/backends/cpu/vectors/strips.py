"""Rows of features cut into strips of two vectors each, for a linear classifier's products."""

from functools import cache

import numpy as np
from llvmlite import ir

from minisca.backends.cpu.vectors.machine_code import POINTER, WORD, compile_function, vector_lanes


@cache
def fill_function(kind, dtype, centring=False):
    """Address of a function that cuts a row of numbers of `kind` into strips of `dtype`.

    The function's arguments: source; count, how many strips; target; stride, from one strip to the
    next. `centring`: and mean, a row, and scale, a number; the strips hold (source - mean) * scale.

    Notes
    -----
    A float16 is sign, 5 bits of exponent, 10 of fraction: moved to where float32 has them, the
    number is right but for the exponents' different zero, which is a factor of 2^112. That holds
    for subnormal numbers too, not for infinity and NaN.
    """
    lanes = vector_lanes(dtype)
    halves, words = (ir.VectorType(ir.IntType(bits), lanes) for bits in (16, 32))

    def emit(e, source, count, target, stride, mean=None, scale=None):
        factor = e.everywhere(e.load_number(scale, 0)) if centring else None

        def widened(index):
            pointer = e.builder.bitcast(e.at(source, index, halves.element), halves.as_pointer())
            bits = e.builder.sext(e.builder.load(pointer, align=2), words)
            bits = e.builder.shl(bits, ir.Constant(words, [13] * lanes))
            bits = e.builder.and_(bits, ir.Constant(words, [-0x70000001] * lanes))
            powers = ir.Constant(e.vector, [2.0**112] * lanes)
            return e.builder.fmul(e.builder.bitcast(bits, e.vector), powers)

        def fill_strip(s):
            start, out = e.builder.mul(s, WORD(2 * lanes)), e.at(target, e.builder.mul(s, stride))
            for v in (0, lanes):
                index = e.builder.add(start, WORD(v))
                number = widened(index) if kind == np.float16 else e.load(source, index)
                if centring:
                    number = e.builder.fmul(e.builder.fsub(number, e.load(mean, index)), factor)
                e.store(number, out, v)
            return []

        e.loop(count, [], fill_strip)

    kinds = [POINTER, WORD, POINTER, WORD] + [POINTER] * 2 * centring
    return compile_function("fill", kinds, dtype, lanes, emit)
