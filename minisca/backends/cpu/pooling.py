"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

Output side ceil(size / stride), windows centred on the whole and clipped to the map (paper
sections 2.1 and 3.1).
"""

import numpy as np
from numba import njit, prange

from minisca.backends.cpu import direct, transform
from minisca.backends.cpu.arrays import plain
from minisca.backends.cpu.choice import choose_convolution


def max_pool(maps, width, stride):
    """See `minisca.backends.interface.Backend.max_pool`."""
    (maps,) = plain(maps)
    shape = (
        *maps.shape[:2],
        pooled_side(maps.shape[2], stride),
        pooled_side(maps.shape[3], stride),
    )
    pooled = np.empty(shape, maps.dtype)
    argmax = np.empty(shape, np.int32)
    _max_pool(
        maps.reshape(-1, *maps.shape[2:]), width, stride,
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


@njit(parallel=True, cache=True)
def _max_pool(maps, width, stride, pooled, argmax):
    n, height, line = maps.shape
    for i in prange(n):
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
    n_windows = d_pooled.shape[2] * d_pooled.shape[3]
    _give_back(
        d_pooled.reshape(-1, n_windows), argmax.reshape(-1, n_windows),
        d_maps.reshape(-1, shape[2] * shape[3]),
    )  # fmt: skip
    return d_maps


@njit(parallel=True, cache=True)
def _give_back(d_pooled, argmax, d_maps):
    for i in prange(len(d_pooled)):
        for j in range(d_pooled.shape[1]):
            d_maps[i, argmax[i, j]] += d_pooled[i, j]


def encode_pooled(x, filters, bias, width, stride):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    x, filters, bias = plain(x, filters, bias)
    sides = (pooled_side(x.shape[2], stride), pooled_side(x.shape[3], stride))
    pooled = np.empty((len(x), len(filters), *sides), x.dtype)
    if choose_convolution(x, filters) == "transform":
        plan = transform.make_plan(x, filters, bias)
        _transform_and_pool(x.shape[2:], *plan, width, stride, pooled)
    else:
        _convolve_and_pool(x, *direct.make_plan(x, filters, bias), width, stride, pooled)
    return pooled


@njit(cache=True)
def pool_block(computed, size, width, stride, largest, pooled):
    """ReLU and max-pooling of a block's maps (h * w, MB), lane by lane, into pooled (m, oh, ow)."""
    for oy in range(pooled.shape[1]):
        top, bottom = window(oy, size[0], width, stride)
        for ox in range(pooled.shape[2]):
            left, right = window(ox, size[1], width, stride)
            largest[:] = 0
            for y in range(top, bottom):
                for p in range(y * size[1] + left, y * size[1] + right):
                    for j in range(len(largest)):
                        largest[j] = max(largest[j], computed[p, j])
            for j in range(len(pooled)):
                pooled[j, oy, ox] = largest[j]


@njit(parallel=True, cache=True)
def _convolve_and_pool(x, plan, places, vectors, width, stride, pooled):
    size = (x.shape[2], x.shape[3])
    block = plan.bias.shape[1]
    for piece in prange(plan.pieces * plan.groups):
        first, end, first_block, end_block, memory = direct.begin_piece(piece, x, plan, len(places))
        largest = np.empty(block, x.dtype)
        for i in range(first, end):
            direct.load_image(x[i], plan, len(places), memory)
            for b in range(first_block, end_block):
                computed = direct.convolve_block(b, size, plan, places, vectors, memory)
                own = direct.maps_of_block(b, plan)
                pool_block(computed, size, width, stride, largest, pooled[i, own])


@njit(parallel=True, cache=True)
def _transform_and_pool(size, plan, places, vectors, width, stride, pooled):
    block = plan.bias.shape[1]
    for b in prange(len(plan.bias)):
        memory = transform.scratch(plan, len(pooled), places)
        largest = np.empty(block, pooled.dtype)
        transform.multiply_spectra(b, len(pooled), plan, places, vectors, memory)
        for i in range(len(pooled)):
            computed = transform.transform_back(i, b, plan, places, vectors, memory)
            own = direct.maps_of_block(b, plan)
            pool_block(computed, size, width, stride, largest, pooled[i, own])
