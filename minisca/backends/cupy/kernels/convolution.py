"""Convolution, by whichever way suits the layer; filters transposed; maps a few images at a time.

Layers of few channels are convolved by `direct`, all others by `tiles`.
"""

import math

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import direct, tiles
from minisca.backends.cupy.runtime.launching import kernel, launch_over
from minisca.chunks import chunks

#: Memory for maps that are stored on the way to a result, some images at a time.
MAP_BYTES = 256 << 20


def convolve(x, filters, bias):
    """The maps (n, m, h, w) of `conv2d`, of arrays on the device."""
    maps = empty((len(x), len(filters), *x.shape[2:]), x.dtype)
    layout = direct.make_layout(x, filters)
    if layout is None:
        tiles.convolve(x, filters, bias, maps)
    else:
        direct.run("direct_maps", layout, x, filters, bias, maps)
    return maps


def map_chunks(x, filters, bias):
    """The maps of one chunk of images after the other, with the rows that they belong to."""
    map_bytes = len(filters) * math.prod(x.shape[2:]) * x.dtype.itemsize
    for rows in chunks(len(x), map_bytes, MAP_BYTES):
        yield rows, convolve(x[rows], filters, bias)


def transposed(filters):
    """Filters (m, c, k, k) as (c, m, k, k), turned by half: what a convolution is undone with."""
    m, channels, k, _ = filters.shape
    turned = empty((channels, m, k, k), filters.dtype)
    transpose = kernel("transposed.cu", "transpose", filters.dtype)
    launch_over(transpose, filters.size, filters, m, channels, k * k, turned)
    return turned
