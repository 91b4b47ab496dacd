"""Direct convolution, one image and one block of maps at a time, in cache.

A block of MB maps is computed into a buffer (places, MB) that stays in the second-level cache, some
lines of the image at a time; what becomes of it (the winner of each map, pooled maps, the maps
themselves) is the caller's business, which is how no feature map is ever stored when only its
winner is wanted.

Why this wins for first layers: a matrix product would write out every patch, then every map, and
read both again; here a tile's sums never leave the registers, and rows of pixels that are all zero,
nearly half of MNIST, are not multiplied at all.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from minisca.backends.cpu.runtime.arrays import aligned_zeros, share
from minisca.backends.cpu.runtime.recycler import recycler
from minisca.backends.cpu.vectors.machine_code import TILE_SUMS, vector_lanes
from minisca.backends.cpu.vectors.microkernel import multiply_tile, tile_function

#: What a block of maps may take of the second-level cache.
MAPS_BYTES = 384 << 10


def choose_tile(n_maps, width, dtype):
    """Places and vectors of the tile with the least work for `n_maps` maps of `width`.

    Weighed are padding, and loads beside multiplications.
    """
    lanes = vector_lanes(dtype)
    best = None
    for vectors in range(1, 5):
        blocks = -(-n_maps // (vectors * lanes))
        tiles = -(-width // max(1, TILE_SUMS // vectors))
        positions = -(-width // tiles)
        products = tiles * positions * blocks * vectors
        loads = tiles * blocks * (positions + vectors)
        latency = max(1.0, 8 / (positions * vectors))  # too few sums in flight leave the units idle
        cost = latency * products + 0.25 * loads
        if best is None or cost < best[0]:
            best = cost, (positions, vectors)
    return best[1]


class Plan(NamedTuple):
    """What the kernels need to know of a convolution: packed filters and how the work is split."""

    filters: np.ndarray  # (blocks * c * k * k * MB,)
    bias: np.ndarray  # (blocks * MB,)
    n_maps: int
    width: int  # the filter's
    block: int  # MB, maps in a block
    blocks: int
    pieces: int  # into how many pieces the images are split
    groups: int  # into how many groups the blocks of maps are split
    lines: int  # of an image that are convolved at a time, so that a block stays in cache
    places: int  # of a tile
    tile: int  # address of its function


def make_plan(x, filters, bias, whole_images=False, least_lines=1):
    """Pack the filters for `x` and split the work, by the problem alone, never by the threads.

    `whole_images` keeps all maps of an image in one piece of work; at least `least_lines` lines of
    an image are convolved at a time.
    """
    n_maps, _, width, _ = filters.shape
    height, line = x.shape[2:]
    places, vectors = choose_tile(n_maps, line, x.dtype)
    block = vectors * vector_lanes(x.dtype)
    blocks = -(-n_maps // block)
    pieces = min(len(x), 32)
    groups = 1 if whole_images else min(blocks, -(-16 // pieces))
    lines = MAPS_BYTES // (line * block * x.itemsize)
    lines = min(height, max(lines, least_lines, 1))
    tile = tile_function(places, vectors, x.dtype)
    return Plan(
        *pack(filters, bias, block), n_maps, width, block, blocks, pieces, groups, lines, places,
        tile,
    )  # fmt: skip


def pack(filters, bias, block):
    """Filters (blocks, c * k * k, block) and bias (blocks, block), flat, a block's maps in lanes.

    Maps that fill up the last block are zero.
    """
    n_maps, taps = len(filters), filters[0].size
    blocks = -(-n_maps // block)
    rows = np.zeros((blocks * block, taps), filters.dtype)
    rows[:n_maps] = filters.reshape(n_maps, taps)
    packed = recycler.empty((blocks, taps, block), filters.dtype)
    packed[...] = rows.reshape(blocks, block, taps).transpose(0, 2, 1)
    packed_bias = np.zeros(blocks * block, filters.dtype)
    packed_bias[:n_maps] = bias
    return packed.reshape(-1), packed_bias


@njit(cache=True)
def pad_image(image, padding, padded, next_nonzero):
    """Copy an image (c, h, w) into `padded` (c, h + 2p, w + 2p), whose border is zero already.

    next_nonzero[c, y, x] is the first place at or after x in its row that is not zero.
    """
    channels, height, width = image.shape
    none = padded.shape[2]
    for c in range(channels):
        for y in range(height):
            row = padded[c, y + padding]
            seen = none
            nearest = next_nonzero[c, y + padding]
            for x in range(width - 1, -1, -1):
                value = image[c, y, x]
                row[x + padding] = value
                if value != 0:
                    seen = x + padding
                nearest[x + padding] = seen
            for x in range(padding):
                nearest[x] = seen


@njit(cache=True)
def list_rows(padded, next_nonzero, plan, size, pixel_rows, filter_rows, n_rows):
    """For every tile of the image, the filter rows that meet a pixel that is not zero.

    Tile t of line y covers `places` places; the last tile of a line moves left to end with it.
    """
    channels, padded_height, padded_width = padded.shape
    height, line = size
    width, places = plan.width, plan.places
    tiles = (line + places - 1) // places
    for y in range(height):
        for t in range(tiles):
            first = min(t * places, line - places)
            end = first + places + width - 1
            own = listed = (y * tiles + t) * channels * width
            for c in range(channels):
                for dy in range(width):
                    if next_nonzero[c, y + dy, first] < end:
                        row = c * padded_height + y + dy
                        pixel_rows[listed] = row * padded_width + first
                        filter_rows[listed] = (c * width + dy) * width * plan.block
                        listed += 1
            n_rows[y * tiles + t] = listed - own


class Memory(NamedTuple):
    """Working memory of one piece of work: allocated once, used for image after image."""

    padded: np.ndarray  # (c, h + k - 1, w + k - 1)
    next_nonzero: np.ndarray  # the same
    pixel_rows: np.ndarray  # (tiles * c * k,) int32
    filter_rows: np.ndarray  # likewise
    n_rows: np.ndarray  # (tiles,) int32
    maps: np.ndarray  # (lines * w * MB,): pre-activations of a block


@njit(cache=True)
def make_memory(x, plan):
    channels, height, line = x.shape[1:]
    margin = plan.width - 1
    padded = np.zeros((channels, height + margin, line + margin), x.dtype)
    next_nonzero = np.full(padded.shape, padded.shape[2], np.int32)
    tiles = height * ((line + plan.places - 1) // plan.places)
    pixel_rows = np.empty(tiles * channels * plan.width, np.int32)
    filter_rows = np.empty(tiles * channels * plan.width, np.int32)
    n_rows = np.empty(tiles, np.int32)
    maps = aligned_zeros(plan.lines * line * plan.block, x.dtype)
    return Memory(padded, next_nonzero, pixel_rows, filter_rows, n_rows, maps)


@njit(cache=True)
def load_image(image, plan, memory):
    """Prepare `memory` for the convolutions of one image."""
    pad_image(image, plan.width // 2, memory.padded, memory.next_nonzero)
    size = (image.shape[1], image.shape[2])
    list_rows(
        memory.padded, memory.next_nonzero, plan, size,
        memory.pixel_rows, memory.filter_rows, memory.n_rows,
    )  # fmt: skip


@njit(cache=True)
def convolve_lines(b, first_line, end_line, line, plan, memory):
    """Pre-activations of block b for some lines of the image last loaded, into memory.maps.

    They stand as (places, MB); a line of the image has `line` places.
    """
    image = memory.padded.reshape(-1)
    taps = len(plan.filters) // plan.blocks
    rows = memory.padded.shape[0] * plan.width
    tiles = (line + plan.places - 1) // plan.places
    for y in range(first_line, end_line):
        for t in range(tiles):
            tile = y * tiles + t
            first = (y - first_line) * line + min(t * plan.places, line - plan.places)
            multiply_tile(
                plan.tile, image, memory.pixel_rows, memory.filter_rows,
                tile * rows, memory.n_rows[tile], plan.width, 1,
                plan.filters, b * taps, plan.bias, b * plan.block,
                memory.maps, first * plan.block, plan.block,
            )  # fmt: skip


@njit(cache=True)
def share_of_piece(piece, plan, n):
    """Images and blocks of a piece of work: first, end, first, end."""
    first, end = share(piece // plan.groups, plan.pieces, n)
    first_block, end_block = share(piece % plan.groups, plan.groups, plan.blocks)
    return first, end, first_block, end_block
