"""Winners of images of few channels by the tensor cores: how the kernels are cut up.

See kernels/direct_halves.cu and kernels/direct_tensor.cu. The results are those of `direct` to the
bit.
"""

import functools
from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels.tensor import (
    CHUNK,
    HALVING_THREADS,
    halve_filters,
    has_tensor_cores,
    shared_limit,
)
from minisca.backends.cupy.runtime.launching import WARP, kernel, launch
from minisca.chunks import ceil_div

#: Candidates of a map that a block lists (kernels/direct_tensor.cu has its kListed).
LISTED = 8
#: More taps are better multiplied by `tensor`; smaller layers are not worth it.
MOST_TAPS = 512
FEWEST_TAPS, FEWEST_MAPS, FEWEST_PLACES = 128, 16, 256


class Tile(NamedTuple):
    """Maps and places that a block multiplies at once (kernels/direct_tensor.cu: its macros)."""

    warps_down: int
    warps_across: int
    tiles_down: int
    tiles_across: int

    @property
    def n_maps(self):
        return self.warps_down * self.tiles_down * 16

    @property
    def n_places(self):
        return self.warps_across * self.tiles_across * 8

    @property
    def n_threads(self):
        """Half of them multiply, the others write patches."""
        return 2 * self.warps_down * self.warps_across * WARP

    def kernel(self, k):
        """The kernel, compiled for this tile and filters of width k."""
        macros = {field.upper(): size for field, size in self._asdict().items()}
        return kernel("direct_tensor.cu", "tensor_winners", np.float32, FILTER_WIDTH=k, **macros)


TILES = (
    *(Tile(2, 4, 4, 4), Tile(1, 4, 4, 4), Tile(1, 4, 4, 2), Tile(1, 4, 2, 4), Tile(1, 4, 2, 2)),
    *(Tile(1, 8, 1, 4), Tile(1, 4, 1, 2)),
)


class Layout(NamedTuple):
    """How a layer is cut up: its tile, bytes of halves in shared memory, and of all there."""

    tile: Tile
    bytes_of_halves: int
    shared_bytes: int


def make_layout(x, filters):
    """The Layout for a layer, or None where the plain kernels must do it."""
    if not has_tensor_cores(x.dtype):
        return None
    return _layout(*x.shape[1:], len(filters), filters.shape[2], shared_limit(), TILES)


@functools.lru_cache(1024)
def _layout(channels, height, width, m, k, limit, tiles):
    n_taps, n_places = channels * k * k, height * width
    padded, n_pixels = ceil_div(n_taps, CHUNK) * CHUNK, channels * plane(height, width, k)
    if k == 1 or not FEWEST_TAPS <= n_taps <= MOST_TAPS or 12 * n_pixels // channels > limit:
        return None
    if m < FEWEST_MAPS or n_places < FEWEST_PLACES:
        return None
    found = []
    for tile in tiles:
        n_tiles = ceil_div(n_places, tile.n_places)
        halves = (tile.n_maps + 2 * tile.n_places) * padded * 2
        halves = ceil_div(max(halves, 4 * (n_pixels + tile.n_maps * n_taps)), 16) * 16
        n_bytes = halves + 4 * (n_tiles * tile.n_places + padded)
        n_bytes += tile.n_maps * (20 + 8 * LISTED) + 2 * halves_of(n_pixels)
        work = ceil_div(m, tile.n_maps) * (tile.n_maps + 32) * n_tiles * (tile.n_places + 32)
        if n_bytes <= limit:
            found.append((work, n_bytes, halves, tile))
    if not found:
        return None
    _, n_bytes, halves, tile = min(found)
    return Layout(tile, halves, n_bytes)


def plane(height, width, k):
    """Pixels of a channel with its margin."""
    return (height + k - 1) * (width + k - 1)


def halves_of(n_pixels):
    """Halves that an image takes, so that the next one begins at a multiple of 16 bytes."""
    return ceil_div(n_pixels, 8) * 8


def kernel_of_halves(k):
    """The kernel that makes them, compiled for filters of width k."""
    return kernel("direct_halves.cu", "halve_patches", np.float32, FILTER_WIDTH=k)


def encode_winners(layout, x, filters, bias, values, positions):
    """`encode_winners` into values and positions (n, m)."""
    (n, channels, height, width), (m, _, k, _) = x.shape, filters.shape
    n_taps, n_pixels = channels * k * k, plane(height, width, k)
    filter_halves, of_filters = halve_filters(filters, n_taps, 1)
    halves = empty((n, halves_of(channels * n_pixels)), np.uint16)
    starts, of_images = empty((n, height * width), np.float32), empty((n, 4), np.float32)
    args = x, channels, height, width, halves.shape[1], halves, starts, of_images
    launch(kernel_of_halves(k), n, HALVING_THREADS, *args, shared_bytes=12 * n_pixels)
    tile = layout.tile
    args = x, filters, bias, filter_halves, of_filters, halves, starts, of_images
    args += channels, height, width, m, filter_halves.shape[2], halves.shape[1]
    args += layout.bytes_of_halves, values, positions
    n_blocks = n * ceil_div(m, tile.n_maps)
    launch(tile.kernel(k), n_blocks, tile.n_threads, *args, shared_bytes=layout.shared_bytes)
