"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

The output has ceil(size / stride) windows a side. The windows together are centred on the map and
clipped to it (paper sections 2.1 and 3.1).
"""

from typing import NamedTuple

import numpy as np

from minisca.backends.cpu.kernels import direct, transform
from minisca.backends.cpu.kernels.choice import choose_convolution
from minisca.backends.cpu.runtime import (
    aligned_zeros,
    ceil_div,
    in_parallel,
    kernel,
    plain,
    recycler,
)
from minisca.backends.cpu.vectors import lanes
from minisca.backends.cpu.vectors.machine_code import call, vector_lanes


def max_pool(maps, pool_width, pool_stride):
    """See `minisca.backends.interface.Backend.max_pool`."""
    (maps,) = plain(maps)
    shape = *maps.shape[:2], *(ceil_div(size, pool_stride) for size in maps.shape[2:])
    pooled = np.empty(shape, maps.dtype)
    argmax = np.empty(shape, np.int32)
    flat = [array.reshape(-1, *array.shape[2:]) for array in (maps, pooled, argmax)]
    in_parallel(_max_pool, len(flat[0]), *flat, pool_width, pool_stride)
    return pooled, argmax


@kernel
def window(index, size, pool_width, pool_stride):
    """First and end position of window `index` along a side of `size`, clipped to the map."""
    covered = (ceil_div(size, pool_stride) - 1) * pool_stride + pool_width
    first = index * pool_stride - (covered - size) // 2
    return max(0, first), min(size, first + pool_width)


@kernel
def _max_pool(i, maps, pooled, argmax, pool_width, pool_stride):
    _, height, width = maps.shape
    for oy in range(pooled.shape[1]):
        top, bottom = window(oy, height, pool_width, pool_stride)
        for ox in range(pooled.shape[2]):
            left, right = window(ox, width, pool_width, pool_stride)
            position = top * width + left
            largest = maps[i, top, left]
            for y in range(top, bottom):
                for x in range(left, right):
                    if maps[i, y, x] > largest:
                        largest = maps[i, y, x]
                        position = y * width + x
            pooled[i, oy, ox] = largest
            argmax[i, oy, ox] = position


def max_pool_backward(d_pooled, argmax, shape):
    """See `minisca.backends.interface.Backend.max_pool_backward`."""
    d_pooled, argmax = plain(d_pooled, argmax)
    d_maps = np.zeros(shape, d_pooled.dtype)
    n_maps = shape[0] * shape[1]
    in_parallel(
        _give_back, n_maps, *(array.reshape(n_maps, -1) for array in (d_pooled, argmax, d_maps))
    )
    return d_maps


@kernel
def _give_back(i, d_pooled, argmax, d_maps):
    for j in range(d_pooled.shape[1]):
        d_maps[i, argmax[i, j]] += d_pooled[i, j]


class Pooling(NamedTuple):
    """What the kernels need to know of a pooling of blocks of maps."""

    pool_width: int
    pool_stride: int
    block: int  # MB, maps in a block
    lanes: int  # numbers in a vector
    pool: int  # address of the `lanes.pool_function`
    transpose: int  # of the `lanes.transpose_function`


def encode_pooled(x, filters, bias, pool_width, pool_stride):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    x, filters, bias = plain(x, filters, bias)
    size = x.shape[2:]
    shape = len(x), len(filters), *(ceil_div(side, pool_stride) for side in size)
    pooled = recycler.empty(shape, x.dtype)
    if choose_convolution(x, filters) == "transform":
        plan = transform.make_plan(x, filters, bias)
        pooling = make_pooling(plan.block, x.dtype, pool_width, pool_stride)
        in_parallel(_transform_and_pool, plan.blocks, pooled, size, plan, pooling)
    else:
        plan = direct.make_plan(x, filters, bias, least_rows=min(pool_width, size[0]))
        pooling = make_pooling(plan.block, x.dtype, pool_width, pool_stride)
        in_parallel(_convolve_and_pool, plan.pieces * plan.groups, x, plan, pooling, pooled)
    return pooled


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


@kernel
def _convolve_and_pool(piece, x, plan, pooling, pooled):
    height, width = x.shape[2:]
    out_height, out_width = pooled.shape[2:]
    pool_width, pool_stride = pooling.pool_width, pooling.pool_stride
    memory = direct.make_memory(x, plan)
    rows = max(1, (plan.rows - pool_width) // pool_stride + 1) if plan.rows < height else out_height
    windows = aligned_zeros(rows * out_width * plan.block, x.dtype)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        direct.load_image(x[i], plan, memory)
        for b in range(first_block, end_block):
            own = pooled[i, b * plan.block : min((b + 1) * plan.block, plan.n_maps)]
            for oy in range(0, out_height, rows):
                end_oy = min(oy + rows, out_height)
                first_row = window(oy, height, pool_width, pool_stride)[0]
                end_row = window(end_oy - 1, height, pool_width, pool_stride)[1]
                direct.convolve_rows(b, first_row, end_row, width, plan, memory)
                size = height, width
                pool_rows(memory.maps, size, first_row, (oy, end_oy), pooling, windows, own)


@kernel
def _transform_and_pool(b, pooled, size, plan, pooling):
    out_height, out_width = pooled.shape[2:]
    memory = transform.make_memory(plan, len(pooled))
    windows = aligned_zeros(out_height * out_width * plan.block, pooled.dtype)
    transform.multiply_spectra(b, len(pooled), plan, memory)
    for i in range(len(pooled)):
        transform.transform_back(i, b, plan, memory)
        own = pooled[i, b * plan.block : min((b + 1) * plan.block, plan.n_maps)]
        pool_rows(memory.maps, size, 0, (0, out_height), pooling, windows, own)
