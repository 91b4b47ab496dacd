"""Sums over images, cut into pieces that depend on the sizes alone and added in their order."""

import numpy as np

from minisca.backends.cupy import device
from minisca.backends.cupy.device import empty, launch, launch_over, to_device, to_host

FILE = "sums.cu"
#: Blocks that keep a device busy.
ENOUGH_BLOCKS = 1024
#: Images that a piece has at least: fewer are not worth a sum of their own.
LEAST_IMAGES = 8


def cut(n, blocks, most=None):
    """Images of a piece, and pieces, for a kernel that has `blocks` blocks for every piece.

    `most` is how many images a piece may have.
    """
    wanted = max(1, ENOUGH_BLOCKS // blocks)
    images_of_piece = max(-(-n // wanted), min(n, LEAST_IMAGES))
    images_of_piece = min(images_of_piece, most or n)
    return images_of_piece, -(-n // images_of_piece)


def sum_pieces(parts, factor=1):
    """`factor` times the sum of parts (pieces, ...) over its first axis."""
    if len(parts) == 1 and factor == 1:
        return parts[0]
    totals = empty(parts.shape[1:], parts.dtype)
    launch_over(
        totals.size, FILE, "sum_pieces", device.options(parts.dtype),
        (parts, *device.ints(len(parts)), parts.dtype.type(factor), totals),
    )  # fmt: skip
    return totals


def channel_sums(images, factor=1):
    """`factor` times the sum of every channel of images (n, c, h, w): the bias gradients (c,)."""
    n, channels, height, width = images.shape
    images_of_piece, pieces = cut(n, channels)
    parts = empty((pieces, channels), images.dtype)
    sizes = (n, images_of_piece, channels, height * width)
    launch(
        FILE, "sum_channels", device.options(images.dtype),
        pieces * channels, device.threads_for(height * width),
        (images, *device.ints(*sizes), parts),
    )  # fmt: skip
    return sum_pieces(parts, factor)


def squared_norm(array):
    """Sum of squares of `array`, taken in float64, as a Python float; the same bits every time."""
    array = to_device(array)
    blocks = min(ENOUGH_BLOCKS, -(-array.size // device.THREADS))
    parts = empty((blocks, 1), np.float64)
    launch(
        FILE, "square_and_sum", device.options(array.dtype), blocks, device.THREADS,
        (array, np.int64(array.size), parts),
    )  # fmt: skip
    return float(to_host(sum_pieces(parts))[0])
