"""The windows of a pooling, and how a block's maps are pooled while they are in cache."""

from typing import NamedTuple

from minisca.backends.cpu.runtime import kernel
from minisca.backends.cpu.vectors import lanes
from minisca.backends.cpu.vectors.machine_code import call, vector_lanes


@kernel
def window(index, size, first, pool_width, pool_stride):
    """First and end position of window `index` along a side of `size`, clipped to the map.

    first: where window 0 begins, outside of the map if it is below 0.
    """
    start = first + index * pool_stride
    return max(0, start), min(size, start + pool_width)


class Pooling(NamedTuple):
    """A pooling of blocks of maps, for kernels."""

    pool_width: int
    pool_stride: int
    top: int  # where the first window begins, outside of the map if it is below 0
    left: int
    block: int  # MB, maps in a block
    lanes: int  # numbers in a vector
    pool: int  # address of the `lanes.pool_function`
    transpose: int  # of the `lanes.transpose_function`


def make_pooling(block, dtype, pool_width, pool_stride, top, left):
    """The `Pooling` of blocks of so many maps."""
    windows = pool_width, pool_stride, top, left
    functions = lanes.pool_function(block, dtype), lanes.transpose_function(dtype)
    return Pooling(*windows, block, vector_lanes(dtype), *functions)


@kernel
def window_rows(index, height, pooling):
    """First and end row of the windows of row `index` of the pooled map."""
    return window(index, height, pooling.top, pooling.pool_width, pooling.pool_stride)


@kernel
def pool_rows(maps, size, first_row, windows_of, pooling, windows, pooled):
    """ReLU and pooling of a block's maps into some rows of pooled (m, oh, ow).

    maps (positions, MB) hold the image from its row `first_row` on. windows_of: first and end row
    of `pooled`. windows: working memory for these rows' windows, (windows, MB).
    """
    height, width = size
    n_maps, out_height, out_width = pooled.shape
    first, end = windows_of
    block, side = pooling.block, pooling.lanes
    for oy in range(first, end):
        top, bottom = window_rows(oy, height, pooling)
        for ox in range(out_width):
            left, right = window(ox, width, pooling.left, pooling.pool_width, pooling.pool_stride)
            corner = maps, ((top - first_row) * width + left) * block
            out = windows, ((oy - first) * out_width + ox) * block
            call(pooling.pool, corner, width * block, bottom - top, right - left, out)
    # Squares of as many maps as windows are transposed in registers. The last of a row of squares
    # moves left to end with it. What fills no square goes number by number.
    n_windows, start = (end - first) * out_width, first * out_width
    own, stride = pooled.reshape(-1), out_height * out_width
    whole = n_maps // side * side if n_windows >= side else 0
    for j in range(0, whole, side):
        for w in range(0, n_windows, side):
            w = min(w, n_windows - side)
            square, out = (windows, w * block + j), (own, j * stride + start + w)
            call(pooling.transpose, square, block, out, stride)
    for j in range(whole, n_maps):
        for w in range(n_windows):
            own[j * stride + start + w] = windows[w * block + j]
