"""Sums over images, cut into pieces that depend on the sizes alone and added in their order."""

import functools
import math

import numpy as np

from minisca.backends.cupy.device import empty, to_device, to_host
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.arrays import zeros
from minisca.backends.cupy.runtime.launching import (
    THREADS,
    kernel,
    launch,
    launch_over,
    threads_for,
)
from minisca.chunks import ceil_div

FILE = "sums.cu"
#: Blocks that keep a device busy.
ENOUGH_BLOCKS = 1024
#: Images that a piece has at least: fewer are not worth a sum of their own.
LEAST_IMAGES = 8


def cut(n, blocks, most=None, least=None):
    """Images of a piece, and pieces, for a kernel that has `blocks` blocks for every piece.

    `most` is how many images a piece may have, `least` how many it has unless there are fewer: by
    default LEAST_IMAGES.
    """
    wanted = max(1, ENOUGH_BLOCKS // blocks)
    images_of_piece = max(ceil_div(n, wanted), min(n, least or LEAST_IMAGES))
    images_of_piece = min(images_of_piece, most or n)
    return images_of_piece, ceil_div(n, images_of_piece)


def sum_pieces(parts, factor=1):
    """`factor` times the sum of parts (pieces, ...) over its first axis."""
    if len(parts) == 1 and factor == 1:
        return parts[0]
    totals = empty(parts.shape[1:], parts.dtype)
    add = kernel(FILE, "sum_pieces", parts.dtype)
    launch_over(add, totals.size, parts, len(parts), parts.dtype.type(factor), totals)
    return totals


def channel_sums(images, factor=1):
    """`factor` times the sum of every channel of images (n, c, h, w): the bias gradients (c,)."""
    (n, channels), n_pixels = images.shape[:2], math.prod(images.shape[2:])
    images_of_piece, pieces = cut(n, channels, least=1)
    parts, sums = empty((channels, pieces), images.dtype), empty(channels, images.dtype)
    sizes = n, images_of_piece, pieces, channels, n_pixels
    args = images, *sizes, images.dtype.type(factor), parts, tickets(channels), sums
    add = kernel(FILE, "sum_channels", images.dtype)
    launch(add, pieces * channels, threads_for(n_pixels), *args)
    return sums


def tickets(n):
    """n counters (int32) for `is_last_block` of a kernel: 0 between launches of a stream."""
    return _tickets(machine.platform, machine.platform.current_stream(), n)


@functools.lru_cache
def _tickets(platform, stream, n):
    return zeros(n, np.int32)


def squared_norm(array):
    """Sum of squares of `array`, taken in float64, as a Python float; the same bits every time."""
    array = to_device(array)
    parts = empty_parts(array.size)
    add = kernel(FILE, "square_and_sum", array.dtype)
    launch(add, len(parts), THREADS, array, np.int64(array.size), parts)
    total = empty(1, np.float64)
    add_up(total, parts)
    return float(to_host(total)[0])


def empty_parts(size):
    """Memory (blocks,) for the parts of a sum of `size` numbers, each of a block of THREADS."""
    return empty(min(ENOUGH_BLOCKS, ceil_div(size, THREADS)), np.float64)


def add_up(total, parts, divisor=1):
    """total (1,) <- the sum of parts (p,) / divisor, by one block."""
    args = parts, len(parts), parts.dtype.type(divisor), total
    launch(kernel("steps.cu", "add_up", parts.dtype), 1, THREADS, *args)
