"""Features on their way to where they are kept in float16. NumPy's conversion is far slower."""

import numpy as np

from minisca.backends import cpu_runtime

runtime = cpu_runtime()
call, vector_lanes = runtime.machine_code.call, runtime.machine_code.vector_lanes
halves, share = runtime.halves, runtime.share

#: Numbers that are one piece of work.
PIECE = 1 << 18


def narrowed(numbers):
    """C-contiguous float32 `numbers` as a new array of float16, rounded as NumPy rounds.

    None where a number is too large for it, infinite or NaN.
    """
    made = runtime.recycler.empty(numbers.shape, np.float16)
    lanes = vector_lanes(np.float32)
    vectors, rest = divmod(numbers.size, lanes)
    flat, out = numbers.reshape(-1), made.reshape(-1)
    pieces = max(1, runtime.ceil_div(numbers.size, PIECE))
    largest = np.zeros((pieces + 1, lanes), np.int32)
    last = np.zeros(lanes, np.float32), np.zeros(lanes, np.int16)  # a vector of what is left
    last[0][:rest] = flat[vectors * lanes :]
    how = vectors, halves.narrow_function(), *last
    runtime.in_parallel(_narrow, pieces, pieces, flat, out.view(np.int16), how, largest)
    out[vectors * lanes :] = last[1][:rest].view(np.float16)
    return None if largest.max() >= halves.TOO_LARGE else made


@runtime.kernel
def _narrow(piece, pieces, numbers, made, how, largest):
    vectors, narrow, last_numbers, last_made = how
    first, end = share(piece, pieces, vectors)
    start = first * last_numbers.size
    call(narrow, (numbers, start), end - first, (made, start), (largest, piece * largest.shape[1]))
    if piece == 0:
        call(narrow, last_numbers, 1, last_made, (largest, pieces * largest.shape[1]))
