"""Direct convolution, one image and one block of maps at a time, in cache (paper section 2).

A block of MB maps is computed into a buffer (positions, MB) that stays in the second-level cache,
some rows of the image at a time. The caller takes what it wants of it: the winner of each map,
pooled maps, or the maps themselves.

This suits first layers. A matrix product would write out every patch and every map and read both
again. Here a tile's sums stay in registers. Rows of pixels that are all zero, nearly half of
MNIST's, are not multiplied at all.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minisca.backends.cpu.runtime import aligned_zeros, ceil_div, kernel, recycler, share
from minisca.backends.cpu.vectors.machine_code import TILE_SUMS, call, vector_lanes
from minisca.backends.cpu.vectors.microkernel import tile_function

#: What a block of maps may take of the second-level cache.
MAPS_BYTES = 384 << 10
#: What a thread may hold of an image. Of a larger one it holds some lines at a time.
LINES_BYTES = 4 << 20


@lru_cache(64)
def choose_tile(n_maps, image_width, dtype):
    """Positions and vectors of the tile with the least work for `n_maps` maps of that width.

    Weighed are padding, and loads beside multiplications.
    """
    lanes = vector_lanes(dtype)
    best = None
    for vectors in range(1, 5):
        blocks = ceil_div(n_maps, vectors * lanes)
        tiles = ceil_div(image_width, max(1, TILE_SUMS // vectors))
        positions = ceil_div(image_width, tiles)
        products = tiles * positions * blocks * vectors
        loads = tiles * blocks * (positions + vectors)
        latency = max(1.0, 8 / (positions * vectors))  # few sums in flight leave the units idle
        cost = latency * products + 0.25 * loads
        if best is None or cost < best[0]:
            best = cost, (positions, vectors)
    return best[1]


class DirectPlan(NamedTuple):
    """What the kernels need to know of a convolution: packed filters and how the work is split."""

    filters: np.ndarray  # (blocks * c * k * k * MB,): a block's maps side by side
    bias: np.ndarray  # (blocks * MB,)
    n_maps: int
    filter_width: int
    block: int  # MB, maps in a block
    blocks: int
    pieces: int  # into how many pieces the images are split
    groups: int  # into how many groups the blocks of maps are split
    lines: int  # of an image that are loaded at a time
    rows: int  # of these that are convolved at a time, so that a block stays in cache
    tile_positions: int
    tile: int  # address of the tile's function


def make_plan(x, filters, bias, whole_images=False, least_rows=1):
    """Pack the filters for `x` and split the work, by the problem alone, never by the threads.

    `whole_images` keeps all maps of an image in one piece of work. At least `least_rows` rows of an
    image are convolved at a time. Maps that fill up the last block are zero.
    """
    n_maps, channels, k, _ = filters.shape
    taps = filters[0].size
    height, width = x.shape[2:]
    positions, vectors = choose_tile(n_maps, width, x.dtype)
    block = vectors * vector_lanes(x.dtype)
    blocks = ceil_div(n_maps, block)
    pieces = min(len(x), 32)
    groups = 1 if whole_images else min(blocks, ceil_div(16, pieces))
    rows = MAPS_BYTES // (width * block * x.itemsize)
    rows = min(height, max(rows, least_rows, 1))
    line = (width + k - 1) * (x.itemsize + 4) + ceil_div(width, positions) * k * 8  # `DirectMemory`
    lines = min(height, LINES_BYTES // (channels * line) - (k - 1))
    if lines < height:
        rows = min(rows, max(lines, least_rows, 1))
        lines = max(lines, rows) // rows * rows
    tile = tile_function(positions, vectors, x.dtype)
    padded = np.zeros((blocks * block, taps), x.dtype)
    padded[:n_maps] = filters.reshape(n_maps, taps)
    packed = recycler.empty((blocks, taps, block), x.dtype)
    packed[...] = padded.reshape(blocks, block, taps).transpose(0, 2, 1)
    packed_bias = np.zeros(blocks * block, x.dtype)
    packed_bias[:n_maps] = bias
    arrays = packed.reshape(-1), packed_bias
    work = block, blocks, pieces, groups, lines, rows
    return DirectPlan(*arrays, n_maps, k, *work, positions, tile)


class DirectMemory(NamedTuple):
    """Working memory of one piece of work: allocated once, used for image after image."""

    padded: np.ndarray  # (c, lines + k - 1, w + k - 1)
    next_nonzero: np.ndarray  # the same: the first column at or after it that is not zero
    pixel_rows: np.ndarray  # (tiles * c * k,) int32
    filter_rows: np.ndarray  # likewise
    n_rows: np.ndarray  # (tiles,) int32
    maps: np.ndarray  # (rows * w * MB,): pre-activations of a block


@kernel
def make_memory(x, plan, rows):
    """The `DirectMemory` for images x (n, c, h, w), with room for so many rows of maps."""
    channels, width, margin = x.shape[1], x.shape[3], plan.filter_width - 1
    padded = np.zeros((channels, plan.lines + margin, width + margin), x.dtype)
    next_nonzero = np.full(padded.shape, padded.shape[2], np.int32)
    tiles = plan.lines * ceil_div(width, plan.tile_positions)
    pixel_rows = np.empty(tiles * channels * plan.filter_width, np.int32)
    filter_rows = np.empty(tiles * channels * plan.filter_width, np.int32)
    n_rows = np.empty(tiles, np.int32)
    maps = aligned_zeros(rows * width * plan.block, x.dtype)
    return DirectMemory(padded, next_nonzero, pixel_rows, filter_rows, n_rows, maps)


@kernel
def load_lines(image, top, bottom, plan, memory):
    """Pad lines `top` to `bottom` of an image (c, h, w): at most plan.lines, rows 0 on in memory.

    And list for each tile the rows of filters that meet a pixel not 0. Tile t of a row covers some
    positions; a row's last tile moves left to end with it.

    The border of memory.padded is zero already, but where lines of the image lay before.
    """
    channels, height, width = image.shape
    k, positions, padding = plan.filter_width, plan.tile_positions, plan.filter_width // 2
    _, padded_height, padded_width = memory.padded.shape
    origin = top - padding  # the line of the image that stands in row 0
    first_line, end_line = max(0, origin), min(height, bottom + padding)
    if plan.lines < height:
        for edge in (slice(0, first_line - origin), slice(end_line - origin, padded_height)):
            memory.padded[:, edge] = 0
            memory.next_nonzero[:, edge] = padded_width
    for c in range(channels):
        for y in range(first_line, end_line):
            own = y - origin
            row, nearest = memory.padded[c, own], memory.next_nonzero[c, own]
            seen = padded_width
            for x in range(width - 1, -1, -1):
                value = image[c, y, x]
                row[x + padding] = value
                if value != 0:
                    seen = x + padding
                nearest[x + padding] = seen
            for x in range(padding):
                nearest[x] = seen
    tiles = ceil_div(width, positions)
    for y in range(bottom - top):
        for t in range(tiles):
            first = min(t * positions, width - positions)
            end = first + positions + k - 1
            own = listed = (y * tiles + t) * channels * k
            for c in range(channels):
                for dy in range(k):
                    if memory.next_nonzero[c, y + dy, first] < end:
                        padded_row = c * padded_height + y + dy
                        memory.pixel_rows[listed] = padded_row * padded_width + first
                        memory.filter_rows[listed] = (c * k + dy) * k * plan.block
                        listed += 1
            memory.n_rows[y * tiles + t] = listed - own


@kernel
def convolve_rows(b, first_row, end_row, image_width, plan, memory):
    """Pre-activations of block b for some rows of the lines last loaded, into memory.maps.

    They stand as (positions, MB).
    """
    filters = plan.filters, b * (len(plan.filters) // plan.blocks)
    bias = plan.bias, b * plan.block
    listed = memory.padded.shape[0] * plan.filter_width
    image, k, positions = memory.padded, plan.filter_width, plan.tile_positions
    tiles = ceil_div(image_width, positions)
    for y in range(first_row, end_row):
        for t in range(tiles):
            tile = y * tiles + t
            pixels, taps = (memory.pixel_rows, tile * listed), (memory.filter_rows, tile * listed)
            first = (y - first_row) * image_width + min(t * positions, image_width - positions)
            out, rows = (memory.maps, first * plan.block), memory.n_rows[tile]
            call(plan.tile, image, pixels, taps, rows, k, 1, filters, bias, out, plan.block)


@kernel
def keep_winners(b, top, bottom, image_width, keep, plan, memory, largest, found, silent):
    """Keep the largest unit of each map of block b in the lines last loaded; returns `silent`.

    keep: the `microkernel.winners_tile_function` of the plan's tile. largest, found: see there; of
    the block, pairs of an array and where in it. silent: whether a tile of this image has met zero
    pixels alone. All units of such a tile are the map's bias: no other one needs to be looked at.
    """
    filters = plan.filters, b * (len(plan.filters) // plan.blocks)
    bias = plan.bias, b * plan.block
    listed = memory.padded.shape[0] * plan.filter_width
    image, k, positions = memory.padded, plan.filter_width, plan.tile_positions
    tiles = ceil_div(image_width, positions)
    for y in range(bottom - top):
        for t in range(tiles):
            tile = y * tiles + t
            rows = memory.n_rows[tile]
            if rows == 0 and silent:
                continue
            silent = silent or rows == 0
            pixels, taps = (memory.pixel_rows, tile * listed), (memory.filter_rows, tile * listed)
            first = (top + y) * image_width + min(t * positions, image_width - positions)
            call(keep, image, pixels, taps, rows, k, 1, filters, bias, first, largest, found)
    return silent


@kernel
def share_of_piece(piece, plan, n):
    """Images and blocks of a piece of work: first, end, first, end."""
    first, end = share(piece // plan.groups, plan.pieces, n)
    first_block, end_block = share(piece % plan.groups, plan.groups, plan.blocks)
    return first, end, first_block, end_block
