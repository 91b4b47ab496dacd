"""Convolutions as matrix products by tiles: which tile, how many blocks.

See kernels/convolution.cu and kernels/product.cuh.
"""

from typing import NamedTuple

import numpy as np

from minisca.backends.cupy import device
from minisca.backends.cupy.device import empty, launch
from minisca.backends.cupy.kernels import sums

FILE = "convolution.cu"


class Tile(NamedTuple):
    """Threads of a block, rows by columns, and how many sums each of them holds, likewise."""

    thread_rows: int
    thread_columns: int
    rows: int
    columns: int

    @property
    def n_threads(self):
        return self.thread_rows * self.thread_columns

    @property
    def sides(self):
        """Rows and columns of the block's tile."""
        return self.thread_rows * self.rows, self.thread_columns * self.columns

    def blocks(self, n_rows, n_columns):
        """How many tiles cover a product."""
        height, width = self.sides
        return -(-n_rows // height) * -(-n_columns // width)

    def work(self, n_rows, n_columns):
        """Instructions for one step in depth: products, and numbers read for them."""
        each = self.rows * self.columns + self.rows / 4 + self.columns
        return self.blocks(n_rows, n_columns) * self.n_threads * each

    def options(self, dtype):
        """How to compile the kernels for it."""
        return device.options(
            dtype,
            THREAD_ROWS=self.thread_rows, THREAD_COLUMNS=self.thread_columns,
            ROWS=self.rows, COLUMNS=self.columns,
        )  # fmt: skip


#: For many maps and large, middle or small images; for some maps; for few; for tiny images.
TILES = (
    Tile(16, 16, 8, 8),
    Tile(16, 16, 8, 7),
    Tile(16, 16, 8, 4),
    Tile(8, 16, 4, 4),
    Tile(1, 32, 4, 4),
    Tile(8, 8, 4, 1),
)


def choose_tile(n_rows, n_columns):
    """The tile that covers a product (n_rows, n_columns) with the least work."""
    return min(TILES, key=lambda tile: tile.work(n_rows, n_columns))


def convolve(x, filters, bias, maps):
    """`conv2d` into maps (n, m, h, w)."""
    _convolve("convolve", x, filters, bias, (maps,), tile_for(x, filters))


def tile_for(x, filters):
    """The tile for the maps of one image."""
    return choose_tile(filters.shape[0], x.shape[2] * x.shape[3])


def convolve_winners(x, filters, bias, values, positions):
    """`encode_winners` into values and positions (n, m)."""
    n, m = values.shape
    tile = tile_for(x, filters)
    _, width = tile.sides
    n_tiles = -(-x.shape[2] * x.shape[3] // width)
    if n_tiles == 1:
        _convolve("convolve_winners", x, filters, bias, (values, positions), tile)
        return
    candidates = empty((n, m, n_tiles), values.dtype)
    places = empty(candidates.shape, np.int32)
    _convolve("convolve_winners", x, filters, bias, (candidates, places), tile)
    device.launch_over(
        values.size, "selection.cu", "keep_largest", device.options(values.dtype),
        (candidates, places, *device.ints(n_tiles), values, positions),
    )  # fmt: skip


def _convolve(name, x, filters, bias, results, tile):
    n, channels, height, width = x.shape
    m, _, k, _ = filters.shape
    device.ints(height * width, channels * k * k)  # the kernel multiplies them in int
    launch(
        FILE, name, tile.options(x.dtype), n * tile.blocks(m, height * width), tile.n_threads,
        (x, filters, bias, *device.ints(channels, height, width, m, k), *results),
    )  # fmt: skip


def correlate(maps, images, k):
    """Sum over images and places of unit times patch: the filter gradients (m, c, k, k)."""
    n, m, height, width = maps.shape
    channels = images.shape[1]
    shape = (m, channels, k, k)
    device.ints(height * width, channels * k * k)
    tile = choose_tile(m, channels * k * k)
    blocks = tile.blocks(m, channels * k * k)
    most = device.MOST_COUNTED // max(m, channels, height * width)
    images_of_piece, pieces = sums.cut(n, blocks, max(1, most))
    parts = empty((pieces, *shape), maps.dtype)
    sizes = (n, images_of_piece, channels, height, width, m, k)
    launch(
        FILE, "correlate", tile.options(maps.dtype), pieces * blocks, tile.n_threads,
        (maps, images, *device.ints(*sizes), parts),
    )  # fmt: skip
    return sums.sum_pieces(parts)
