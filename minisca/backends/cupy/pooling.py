"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

Output side ceil(size / stride), windows clipped to the map (paper sections 2.1 and 3.1).
"""

import math

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import direct
from minisca.backends.cupy.kernels.convolution import map_chunks
from minisca.backends.cupy.runtime.arrays import operation, zeros
from minisca.backends.cupy.runtime.launching import kernel, launch_over
from minisca.backends.pool_windows import pool_windows

FILE = "pooling.cu"


@operation
def max_pool(maps, pool_width, pool_stride, origin="centred"):
    """See `minisca.backends.interface.Backend.max_pool`."""
    sides, first = pool_windows(maps.shape[2:], pool_width, pool_stride, origin)
    pooled = empty((*maps.shape[:2], *sides), maps.dtype)
    argmax = empty(pooled.shape, np.int32)
    sizes = *maps.shape[2:], *sides, pool_width, pool_stride, *first
    launch_over(kernel(FILE, "max_pool", maps.dtype), pooled.size, maps, *sizes, pooled, argmax)
    return pooled, argmax


@operation
def max_pool_backward(d_pooled, argmax, shape):
    """See `minisca.backends.interface.Backend.max_pool_backward`."""
    d_maps = empty(shape, d_pooled.dtype)
    sizes = math.prod(d_pooled.shape[2:]), math.prod(shape[2:])
    give_back = kernel(FILE, "max_pool_backward", d_maps.dtype)
    launch_over(give_back, d_maps.size, d_pooled, argmax, *sizes, d_maps)
    return d_maps


@operation
def encode_pooled(x, filters, bias, pool_width, pool_stride, origin="centred", factors=None):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    sides, first = pool_windows(x.shape[2:], pool_width, pool_stride, origin)
    pooled = empty((len(x), len(filters), *sides), x.dtype)
    windows = *sides, pool_width, pool_stride, *first
    layout = direct.make_layout(x, filters, units_stored=True)
    if layout is not None and factors is None:
        direct.run("direct_pooled", layout, x, filters, bias, *windows, pooled)
        return pooled
    pool = kernel(FILE, "max_pool_rectified", x.dtype)
    first_bias = bias if factors is None else zeros(len(bias), bias.dtype)
    for rows, maps in map_chunks(x, filters, first_bias):
        if factors is not None:
            what = maps, factors[rows], bias, len(bias), math.prod(x.shape[2:])
            launch_over(kernel(FILE, "scale", x.dtype), maps.size, *what)
        launch_over(pool, pooled[rows].size, maps, *x.shape[2:], *windows, pooled[rows])
    return pooled
