"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

Output side ceil(size / stride), windows centred on the whole and clipped to the map (paper
sections 2.1 and 3.1).
"""

import numpy as np

from minisca.backends.cupy import device
from minisca.backends.cupy.device import empty, launch_over, on_device, to_device
from minisca.backends.cupy.kernels import direct
from minisca.backends.cupy.winners import map_chunks

FILE = "pooling.cu"


def max_pool(maps, width, stride):
    """See `minisca.backends.interface.Backend.max_pool`."""
    maps = to_device(maps)
    pooled = empty(pooled_shape(maps.shape, width, stride), maps.dtype)
    argmax = empty(pooled.shape, np.int32)
    _pool("max_pool", maps, width, stride, (pooled, argmax))
    return pooled, argmax


def pooled_shape(shape, width, stride):
    """The shape of maps of the given shape after pooling."""
    return (*shape[:2], *windows(shape[2:], width, stride)[0])


def windows(size, width, stride):
    """For both sides: how many windows, and where the first begins (before the map, if < 0)."""
    sides = [-(-side // stride) for side in size]
    first = [-(((n - 1) * stride + width - side) // 2) for n, side in zip(sides, size, strict=True)]
    return sides, first


def _pool(name, maps, width, stride, results):
    sides, first = windows(maps.shape[2:], width, stride)
    sizes = (*maps.shape[2:], *sides, width, stride, *first)
    launch_over(
        results[0].size, FILE, name, device.options(maps.dtype),
        (maps, *device.ints(*sizes), *results),
    )  # fmt: skip


def max_pool_backward(d_pooled, argmax, shape):
    """See `minisca.backends.interface.Backend.max_pool_backward`."""
    d_pooled, argmax = on_device(d_pooled, argmax)
    d_maps = empty(shape, d_pooled.dtype)
    sizes = (d_pooled.shape[2] * d_pooled.shape[3], shape[2] * shape[3])
    launch_over(
        d_maps.size, FILE, "max_pool_backward", device.options(d_maps.dtype),
        (d_pooled, argmax, *device.ints(*sizes), d_maps),
    )  # fmt: skip
    return d_maps


def encode_pooled(x, filters, bias, width, stride):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    x, filters, bias = on_device(x, filters, bias)
    shape = pooled_shape((len(x), len(filters), *x.shape[2:]), width, stride)
    pooled = empty(shape, x.dtype)
    plan = direct.make_plan(x, filters, units_stored=True)
    if plan is None:
        for rows, maps in map_chunks(x, filters, bias):
            _pool("max_pool_rectified", maps, width, stride, (pooled[rows],))
    else:
        sides, first = windows(x.shape[2:], width, stride)
        sizes = device.ints(*sides, width, stride, *first)
        direct.run("direct_pooled", plan, x, filters, bias, *sizes, pooled)
    return pooled
