"""Convolutions as matrix products by tiles: which tile, how many blocks.

See kernels/tiles.cu and kernels/product.cuh.
"""

from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import selection, sums
from minisca.backends.cupy.runtime.launching import MOST_COUNTED, count, kernel, launch
from minisca.chunks import ceil_div

FILE = "tiles.cu"


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
        rows, columns = self.sides
        return ceil_div(n_rows, rows) * ceil_div(n_columns, columns)

    def work(self, n_rows, n_columns):
        """Instructions for one step in depth: products, and numbers read for them."""
        each = self.rows * self.columns + self.rows / 4 + self.columns
        return self.blocks(n_rows, n_columns) * self.n_threads * each

    def kernel(self, name, dtype):
        """The kernel of that name, compiled for this tile."""
        macros = {field.upper(): size for field, size in self._asdict().items()}
        return kernel(FILE, name, dtype, **macros)


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


def tile_for(x, filters):
    """The tile for the maps of one image."""
    return choose_tile(filters.shape[0], x.shape[2] * x.shape[3])


def convolve(x, filters, bias, maps):
    """`conv2d` into maps (n, m, h, w)."""
    _convolve("convolve", tile_for(x, filters), x, filters, bias, maps)


def convolve_winners(x, filters, bias, values, positions):
    """`encode_winners` into values and positions (n, m)."""
    tile = tile_for(x, filters)
    n_tiles = ceil_div(x.shape[2] * x.shape[3], tile.sides[1])
    if n_tiles == 1:
        _convolve("convolve_winners", tile, x, filters, bias, values, positions)
        return
    candidates = empty((*values.shape, n_tiles), values.dtype)
    candidate_positions = empty(candidates.shape, np.int32)
    _convolve("convolve_winners", tile, x, filters, bias, candidates, candidate_positions)
    selection.keep_largest(candidates, candidate_positions, values, positions)


def _convolve(name, tile, x, filters, bias, *results):
    n, channels, height, width = x.shape
    m, _, k, _ = filters.shape
    count(height * width), count(channels * k * k)  # the kernel multiplies them in int
    args = x, filters, bias, channels, height, width, m, k, *results
    n_blocks = n * tile.blocks(m, height * width)
    launch(tile.kernel(name, x.dtype), n_blocks, tile.n_threads, *args)


def correlate(maps, images, k):
    """Sum over images and positions of unit times patch: the filter gradients (m, c, k, k)."""
    n, m, height, width = maps.shape
    channels = images.shape[1]
    count(height * width), count(channels * k * k)
    tile = choose_tile(m, channels * k * k)
    blocks = tile.blocks(m, channels * k * k)
    most = MOST_COUNTED // max(m, channels, height * width)
    images_of_piece, pieces = sums.cut(n, blocks, max(1, most))
    parts = empty((pieces, m, channels, k, k), maps.dtype)
    args = maps, images, n, images_of_piece, channels, height, width, m, k, parts
    launch(tile.kernel("correlate", maps.dtype), pieces * blocks, tile.n_threads, *args)
    return sums.sum_pieces(parts)
