"""The windows of a pooling, and how a block's maps are pooled while they are in cache."""

from typing import NamedTuple

from minisca.backends.cpu.runtime import ceil_div, kernel
from minisca.backends.cpu.vectors import lanes
from minisca.backends.cpu.vectors.machine_code import call, vector_lanes


@kernel
def window(index, size, pool_width, pool_stride):
    """First and end position of window `index` along a side of `size`, clipped to the map."""
    covered = (ceil_div(size, pool_stride) - 1) * pool_stride + pool_width
    first = index * pool_stride - (covered - size) // 2
    return max(0, first), min(size, first + pool_width)


class Pooling(NamedTuple):
    """What the kernels need to know of a pooling of blocks of maps."""

    pool_width: int
    pool_stride: int
    block: int  # MB, maps in a block
    lanes: int  # numbers in a vector
    pool: int  # address of the `lanes.pool_function`
    transpose: int  # of the `lanes.transpose_function`


def make_pooling(block, dtype, pool_width, pool_stride):
    """The `Pooling` of blocks of so many maps."""
    functions = lanes.pool_function(block, dtype), lanes.transpose_function(dtype)
    return Pooling(pool_width, pool_stride, block, vector_lanes(dtype), *functions)


@kernel
def pool_rows(maps, size, first_row, windows_of, pooling, windows, pooled):
    """ReLU and pooling of a block's maps into some rows of pooled (m, oh, ow).

    maps (positions, MB) hold the image from its row `first_row` on. windows_of: first and end row
    of `pooled`. windows: working memory for these rows' windows.
    """
    height, width = size
    _, _, row_windows = pooled.shape
    first, end = windows_of
    block = pooling.block
    for oy in range(first, end):
        top, bottom = window(oy, height, pooling.pool_width, pooling.pool_stride)
        for ox in range(row_windows):
            left, right = window(ox, width, pooling.pool_width, pooling.pool_stride)
            corner = maps, ((top - first_row) * width + left) * block
            out = windows, ((oy - first) * row_windows + ox) * block
            call(pooling.pool, corner, width * block, bottom - top, right - left, out)
    own = pooled.reshape(len(pooled), -1)
    transpose_windows(windows, (end - first) * row_windows, pooling, own, first * row_windows)


@kernel
def transpose_windows(windows, n_windows, pooling, pooled, first):
    """Windows (n_windows, MB) of a block into pooled (m, positions), from position `first` on.

    Squares of as many maps as windows are transposed in registers; the last of a row of squares
    moves left to end with it. What fills no square goes number by number.
    """
    n_maps, n_positions = pooled.shape
    side, block = pooling.lanes, pooling.block
    whole = n_maps // side * side if n_windows >= side else 0
    for j in range(0, whole, side):
        for w in range(0, n_windows, side):
            w = min(w, n_windows - side)
            square, out = (windows, w * block + j), (pooled, j * n_positions + first + w)
            call(pooling.transpose, square, block, out, n_positions)
    for j in range(whole, n_maps):
        for w in range(n_windows):
            pooled[j, first + w] = windows[w * block + j]
