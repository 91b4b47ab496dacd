"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

Output side ceil(size / stride), windows centred on the whole and clipped to the map (paper
sections 2.1 and 3.1).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from minisca.backends.cpu.kernels import direct, transform
from minisca.backends.cpu.kernels.choice import choose_convolution
from minisca.backends.cpu.runtime.arrays import aligned_zeros, plain
from minisca.backends.cpu.runtime.parallel import in_parallel
from minisca.backends.cpu.runtime.recycler import recycler
from minisca.backends.cpu.vectors import lanes
from minisca.backends.cpu.vectors.machine_code import vector_lanes


def max_pool(maps, pool_width, pool_stride):
    """See `minisca.backends.interface.Backend.max_pool`."""
    (maps,) = plain(maps)
    shape = (
        *maps.shape[:2],
        pooled_side(maps.shape[2], pool_stride),
        pooled_side(maps.shape[3], pool_stride),
    )
    pooled = np.empty(shape, maps.dtype)
    argmax = np.empty(shape, np.int32)
    in_parallel(
        _max_pool, maps.shape[0] * maps.shape[1], maps.reshape(-1, *maps.shape[2:]),
        pool_width, pool_stride,
        pooled.reshape(-1, *shape[2:]), argmax.reshape(-1, *shape[2:]),
    )  # fmt: skip
    return pooled, argmax


@njit(cache=True)
def pooled_side(size, stride):
    """Number of windows along a side."""
    return (size + stride - 1) // stride


@njit(cache=True)
def window(index, size, width, stride):
    """First and end place of window `index` along a side of `size`, clipped to the map."""
    first = -(((pooled_side(size, stride) - 1) * stride + width - size) // 2) + index * stride
    return max(0, first), min(size, first + width)


@njit(cache=True)
def _max_pool(i, maps, width, stride, pooled, argmax):
    _, height, line = maps.shape
    for oy in range(pooled.shape[1]):
        top, bottom = window(oy, height, width, stride)
        for ox in range(pooled.shape[2]):
            left, right = window(ox, line, width, stride)
            place = top * line + left
            largest = maps[i, top, left]
            for y in range(top, bottom):
                for x in range(left, right):
                    if maps[i, y, x] > largest:
                        largest = maps[i, y, x]
                        place = y * line + x
            pooled[i, oy, ox] = largest
            argmax[i, oy, ox] = place


def max_pool_backward(d_pooled, argmax, shape):
    """See `minisca.backends.interface.Backend.max_pool_backward`."""
    d_pooled, argmax = plain(d_pooled, argmax)
    d_maps = np.zeros(shape, d_pooled.dtype)
    windows, places = d_pooled.shape[2] * d_pooled.shape[3], shape[2] * shape[3]
    in_parallel(
        _give_back, shape[0] * shape[1], d_pooled.reshape(-1, windows),
        argmax.reshape(-1, windows), d_maps.reshape(-1, places),
    )  # fmt: skip
    return d_maps


@njit(cache=True)
def _give_back(i, d_pooled, argmax, d_maps):
    for j in range(d_pooled.shape[1]):
        d_maps[i, argmax[i, j]] += d_pooled[i, j]


class Pooling(NamedTuple):
    """What the kernels need to know of a pooling of blocks of maps."""

    width: int
    stride: int
    pool: int  # address of the function of `lanes.pool`
    turn: int  # of `lanes.turn`
    lanes: int  # numbers in a vector


def encode_pooled(x, filters, bias, pool_width, pool_stride):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    x, filters, bias = plain(x, filters, bias)
    height, line = x.shape[2:]
    pooled = recycler.empty(
        (len(x), len(filters), pooled_side(height, pool_stride), pooled_side(line, pool_stride)),
        x.dtype,
    )
    if choose_convolution(x, filters) == "transform":
        plan = transform.make_plan(x, filters, bias)
        pooling = make_pooling(plan.block, x.dtype, pool_width, pool_stride)
        in_parallel(_transform_and_pool, plan.blocks, pooled, (height, line), plan, pooling)
    else:
        plan = direct.make_plan(x, filters, bias, least_lines=min(pool_width, height))
        pooling = make_pooling(plan.block, x.dtype, pool_width, pool_stride)
        in_parallel(_convolve_and_pool, plan.pieces * plan.groups, x, plan, pooling, pooled)
    return pooled


def make_pooling(block, dtype, width, stride):
    functions = lanes.pool_function(block, dtype), lanes.turn_function(dtype)
    return Pooling(width, stride, *functions, vector_lanes(dtype))


@njit(cache=True)
def pool_lines(maps, size, first_line, rows, pooling, block, windows, pooled):
    """ReLU and pooling of a block's maps into some rows of pooled (m, oh, ow).

    maps (places, MB) hold the image from `first_line` on; rows: first and end row of `pooled`.
    windows: working memory for these rows' windows.
    """
    height, line = size
    n_maps, _, window_rows = pooled.shape
    for oy in range(rows[0], rows[1]):
        top, bottom = window(oy, height, pooling.width, pooling.stride)
        for ox in range(window_rows):
            left, right = window(ox, line, pooling.width, pooling.stride)
            start = ((top - first_line) * line + left) * block
            own = ((oy - rows[0]) * window_rows + ox) * block
            lanes.pool(
                pooling.pool, maps, start, line * block, bottom - top, right - left, windows, own
            )
    n_windows = (rows[1] - rows[0]) * window_rows
    turn_windows(
        windows, n_windows, block, pooling, pooled.reshape(n_maps, -1), rows[0] * window_rows
    )


@njit(cache=True)
def turn_windows(windows, n_windows, block, pooling, pooled, first):
    """Windows (n_windows, MB) of a block into pooled (m, places), from place `first` on.

    Squares of as many maps as windows are turned in registers; the last of a row of squares moves
    left to end with it. What fills no square goes number by number.
    """
    n_maps, n_places = pooled.shape
    side = pooling.lanes
    whole = n_maps // side * side if n_windows >= side else 0
    for j in range(0, whole, side):
        for w in range(0, n_windows, side):
            w = min(w, n_windows - side)
            to = j * n_places + first + w
            lanes.turn(pooling.turn, windows, w * block + j, block, pooled, to, n_places)
    for j in range(whole, n_maps):
        for w in range(n_windows):
            pooled[j, first + w] = windows[w * block + j]


@njit(cache=True)
def _convolve_and_pool(piece, x, plan, pooling, pooled):
    height, line = x.shape[2:]
    out_height, out_line = pooled.shape[2:]
    width, stride = pooling.width, pooling.stride
    memory = direct.make_memory(x, plan)
    rows = max(1, (plan.lines - width) // stride + 1) if plan.lines < height else out_height
    windows = aligned_zeros(rows * out_line * plan.block, x.dtype)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        direct.load_image(x[i], plan, memory)
        for b in range(first_block, end_block):
            maps = slice(b * plan.block, min((b + 1) * plan.block, plan.n_maps))
            for oy in range(0, out_height, rows):
                end_row = min(oy + rows, out_height)
                first_line = window(oy, height, width, stride)[0]
                end_line = window(end_row - 1, height, width, stride)[1]
                direct.convolve_lines(b, first_line, end_line, line, plan, memory)
                pool_lines(
                    memory.maps, (height, line), first_line, (oy, end_row), pooling, plan.block,
                    windows, pooled[i, maps],
                )  # fmt: skip


@njit(cache=True)
def _transform_and_pool(b, pooled, size, plan, pooling):
    out_height, out_line = pooled.shape[2:]
    memory = transform.make_memory(plan, len(pooled))
    windows = aligned_zeros(out_height * out_line * plan.block, pooled.dtype)
    transform.multiply_spectra(b, len(pooled), plan, memory)
    maps = slice(b * plan.block, min((b + 1) * plan.block, plan.n_maps))
    for i in range(len(pooled)):
        transform.transform_back(i, b, plan, memory)
        pool_lines(
            memory.maps, size, 0, (0, out_height), pooling, plan.block, windows, pooled[i, maps]
        )
