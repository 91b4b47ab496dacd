"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

Output side ceil(size / stride), windows clipped to the map (paper sections 2.1 and 3.1).
"""

from typing import NamedTuple

import numpy as np

from minisca.backends.cpu.kernels import direct, transform
from minisca.backends.cpu.kernels.choice import choose_convolution, transformed_at_a_time
from minisca.backends.cpu.kernels.windows import make_pooling, pool_rows, window, window_rows
from minisca.backends.cpu.runtime import (
    aligned_zeros,
    ceil_div,
    in_parallel,
    kernel,
    operation,
    recycler,
)
from minisca.backends.pool_windows import pool_windows


@operation
def max_pool(maps, pool_width, pool_stride, origin="centred"):
    """See `minisca.backends.interface.Backend.max_pool`."""
    sides, first = pool_windows(maps.shape[2:], pool_width, pool_stride, origin)
    shape = *maps.shape[:2], *sides
    pooled = np.empty(shape, maps.dtype)
    argmax = np.empty(shape, np.int32)
    flat = [array.reshape(-1, *array.shape[2:]) for array in (maps, pooled, argmax)]
    in_parallel(_max_pool, len(flat[0]), *flat, pool_width, pool_stride, first)
    return pooled, argmax


@kernel
def _max_pool(i, maps, pooled, argmax, pool_width, pool_stride, first):
    _, height, width = maps.shape
    for oy in range(pooled.shape[1]):
        top, bottom = window(oy, height, first[0], pool_width, pool_stride)
        for ox in range(pooled.shape[2]):
            left, right = window(ox, width, first[1], pool_width, pool_stride)
            position = top * width + left
            largest = maps[i, top, left]
            for y in range(top, bottom):
                for x in range(left, right):
                    if maps[i, y, x] > largest:
                        largest = maps[i, y, x]
                        position = y * width + x
            pooled[i, oy, ox] = largest
            argmax[i, oy, ox] = position


@operation
def max_pool_backward(d_pooled, argmax, shape):
    """See `minisca.backends.interface.Backend.max_pool_backward`."""
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


class Scaling(NamedTuple):
    """What units are multiplied by before their bias is added, for kernels."""

    factors: np.ndarray  # (n, h * w); (0, 0) where units are the plan's, with its bias
    bias: np.ndarray  # (blocks * MB,)


def _scaled(plan, factors):
    """The plan and its `Scaling`: with factors (n, h, w), the bias is that one's alone."""
    if factors is None:
        return plan, Scaling(np.empty((0, 0), plan.bias.dtype), plan.bias)
    by_position = factors.reshape(len(factors), -1)
    return plan._replace(bias=np.zeros_like(plan.bias)), Scaling(by_position, plan.bias)


@kernel
def _scale(maps, i, first, end, b, block, scaling):
    """Scale maps (positions, MB) in place: block b of image i, from position `first` to `end`."""
    if len(scaling.factors) == 0:
        return
    for p in range(first, end):
        factor, start = scaling.factors[i, p], (p - first) * block
        for j in range(block):
            maps[start + j] = factor * maps[start + j] + scaling.bias[b * block + j]


@operation
def encode_pooled(x, filters, bias, pool_width, pool_stride, origin="centred", factors=None):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    size = x.shape[2:]
    sides, first = pool_windows(size, pool_width, pool_stride, origin)
    windows = pool_width, pool_stride, *first
    pooled = recycler.empty((len(x), len(filters), *sides), x.dtype)
    if choose_convolution(x, filters) == "transform":
        for rows in transformed_at_a_time(x, filters.shape[2]):
            plan = transform.make_plan(x[rows], filters, bias)
            plan, scaling = _scaled(plan, None if factors is None else factors[rows])
            what = plan, scaling, make_pooling(plan.block, x.dtype, *windows)
            in_parallel(_transform_and_pool, plan.blocks, pooled[rows], size, *what)
    else:
        plan = direct.make_plan(x, filters, bias, least_rows=min(pool_width, size[0]))
        plan, scaling = _scaled(plan, factors)
        what = plan, scaling, make_pooling(plan.block, x.dtype, *windows)
        in_parallel(_convolve_and_pool, plan.pieces * plan.groups, x, *what, pooled)
    return pooled


@kernel
def _convolve_and_pool(piece, x, plan, scaling, pooling, pooled):
    height, width = x.shape[2:]
    out_height, out_width = pooled.shape[2:]
    memory = direct.make_memory(x, plan, plan.rows)
    held = _rows_of_windows(plan.lines, height, pooling)  # in the lines that are loaded at a time
    rows = _rows_of_windows(plan.rows, height, pooling)
    windows = aligned_zeros(rows * out_width * plan.block, x.dtype)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        for first_window in range(0, out_height, held):
            end_window = min(first_window + held, out_height)
            top = window_rows(first_window, height, pooling)[0]
            bottom = window_rows(end_window - 1, height, pooling)[1]
            direct.load_lines(x[i], top, bottom, plan, memory)
            for b in range(first_block, end_block):
                own = pooled[i, b * plan.block : min((b + 1) * plan.block, plan.n_maps)]
                for oy in range(first_window, end_window, rows):
                    end_oy = min(oy + rows, end_window)
                    first_row = window_rows(oy, height, pooling)[0]
                    end_row = window_rows(end_oy - 1, height, pooling)[1]
                    direct.convolve_rows(b, first_row - top, end_row - top, width, plan, memory)
                    places = first_row * width, end_row * width
                    _scale(memory.maps, i, *places, b, plan.block, scaling)
                    size = height, width
                    pool_rows(memory.maps, size, first_row, (oy, end_oy), pooling, windows, own)


@kernel
def _rows_of_windows(length, height, pooling):
    """How many rows of windows some consecutive rows of a map of that height hold."""
    pool_width, pool_stride = pooling.pool_width, pooling.pool_stride
    if length == height:
        return ceil_div(height, pool_stride)
    return max(1, (length - pool_width) // pool_stride + 1)


@kernel
def _transform_and_pool(b, pooled, size, plan, scaling, pooling):
    out_height, out_width = pooled.shape[2:]
    memory = transform.make_memory(plan, len(pooled))
    windows = aligned_zeros(out_height * out_width * plan.block, pooled.dtype)
    transform.multiply_spectra(b, len(pooled), plan, memory)
    for i in range(len(pooled)):
        n_positions = transform.transform_back(i, b, plan, memory)
        _scale(memory.maps, i, 0, n_positions, b, plan.block, scaling)
        own = pooled[i, b * plan.block : min((b + 1) * plan.block, plan.n_maps)]
        pool_rows(memory.maps, size, 0, (0, out_height), pooling, windows, own)
