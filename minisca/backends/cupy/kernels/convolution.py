"""Convolution, by whichever way suits the layer; filters transposed; maps a few images at a time.

Layers of few channels are convolved by `direct`, those of many by `staged`, and what fits neither,
which has few maps, large images or wide filters, by `tiles`. All three give the same bits.
"""

import math

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import direct, staged, tiles
from minisca.backends.cupy.runtime.launching import kernel, launch_over
from minisca.chunks import chunks

#: Memory for maps that are stored on the way to a result, some images at a time.
MAP_BYTES = 256 << 20


def convolve(x, filters, bias):
    """The maps (n, m, h, w) of `conv2d`, of arrays on the device."""
    maps = empty((len(x), len(filters), *x.shape[2:]), x.dtype)
    if (layout := direct.make_layout(x, filters)) is not None:
        direct.run("direct_maps", layout, x, filters, bias, maps)
    elif (layout := staged.make_layout(x, filters)) is not None:
        staged.convolve(layout, x, filters, bias, maps)
    else:
        tiles.convolve(x, filters, bias, maps)
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
