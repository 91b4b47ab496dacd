"""Direct convolution, one image and one block of maps at a time, in cache.

A block of MB maps is computed into a buffer (h * w, MB) that stays in the second-level cache; what
becomes of it (the winner of each map, pooled maps, the maps themselves) is the caller's business,
which is how no feature map is ever stored when only its winner is wanted.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from minisca.backends.cpu.arrays import share
from minisca.backends.cpu.microkernel import ACCUMULATORS, VECTOR_BYTES, multiply_tile


def choose_tile(n_maps, width, dtype):
    """Places and vectors of the tile with the least work for `n_maps` maps of `width`.

    It is returned as two tuples whose lengths are what counts: a kernel that gets them as arguments
    knows the lengths when it is compiled. Weighed are padding, and loads beside multiplications.
    """
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    best = None
    for vectors in range(1, 5):
        blocks = -(-n_maps // (vectors * lanes))
        tiles = -(-width // max(1, ACCUMULATORS // vectors))
        positions = -(-width // tiles)
        products = tiles * positions * blocks * vectors
        loads = tiles * blocks * (positions + vectors)
        latency = max(1.0, 8 / (positions * vectors))  # too few sums in flight leave the units idle
        cost = latency * products + 0.25 * loads
        if best is None or cost < best[0]:
            best = cost, ((0,) * positions, (0,) * vectors)
    return best[1]


class Plan(NamedTuple):
    """What the kernels need to know of a convolution: packed filters and how the work is split."""

    filters: np.ndarray  # (blocks, c * k * k * MB)
    bias: np.ndarray  # (blocks, MB)
    n_maps: int
    width: int  # the filter's
    pieces: int  # into how many pieces the images are split
    groups: int  # into how many groups the blocks of maps are split


def make_plan(x, filters, bias, whole_images=False):
    """Pack the filters for `x` and split the work, by the problem alone, never by the threads.

    `whole_images` keeps all maps of an image in one piece of work. Returns the plan and the tile's
    places and vectors: the first three arguments after `x` of every kernel.
    """
    n_maps, _, width, _ = filters.shape
    tile = choose_tile(n_maps, x.shape[3], x.dtype)
    block = len(tile[1]) * VECTOR_BYTES // x.itemsize
    blocks = -(-n_maps // block)
    packed, packed_bias = pack(filters, bias, block)
    pieces = min(len(x), 32)
    groups = 1 if whole_images else min(blocks, -(-16 // pieces))
    return Plan(packed, packed_bias, n_maps, width, pieces, groups), *tile


def pack(filters, bias, block):
    """Filters (blocks, c * k * k * block) and bias (blocks, block), the maps of a block together.

    Maps that fill up the last block are zero.
    """
    n_maps = len(filters)
    blocks = -(-n_maps // block)
    packed = np.zeros((blocks, filters[0].size * block), filters.dtype)
    pack_filters(filters.reshape(n_maps, -1), packed, block)
    packed_bias = np.zeros((blocks, block), filters.dtype)
    packed_bias.reshape(-1)[:n_maps] = bias
    return packed, packed_bias


@njit(parallel=True, cache=True)
def pack_filters(filters, packed, block):
    """filters (m, taps) -> packed (blocks, taps * block), the maps of a block side by side."""
    n_maps, taps = filters.shape
    for b in prange(packed.shape[0]):
        out = packed[b].reshape(taps, block)
        for j in range(min(block, n_maps - b * block)):
            for t in range(taps):
                out[t, j] = filters[b * block + j, t]


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
def list_rows(padded, next_nonzero, width, size, places, block, pixel_rows, filter_rows, n_rows):
    """For every tile of the image, the filter rows that meet a pixel that is not zero.

    Tile t of line y covers `places` places; the last tile of a line moves left to end with it.
    """
    channels, padded_height, padded_width = padded.shape
    height, line = size
    tiles = (line + places - 1) // places
    for y in range(height):
        for t in range(tiles):
            first = min(t * places, line - places)
            end = first + places + width - 1
            place = y * tiles + t
            listed = 0
            for c in range(channels):
                for dy in range(width):
                    if next_nonzero[c, y + dy, first] < end:
                        pixel_rows[place, listed] = (
                            c * padded_height + y + dy
                        ) * padded_width + first
                        filter_rows[place, listed] = (c * width + dy) * width * block
                        listed += 1
            n_rows[place] = listed


@njit(cache=True)
def scratch(x, plan, places):
    """Working memory for one piece of work: allocated once, used for image after image."""
    channels, height, line = x.shape[1:]
    width, block = plan.width, plan.bias.shape[1]
    tiles = height * ((line + places - 1) // places)
    padded = np.zeros((channels, height + width - 1, line + width - 1), x.dtype)
    next_nonzero = np.full(padded.shape, padded.shape[2], np.int32)
    pixel_rows = np.empty((tiles, channels * width), np.int32)
    filter_rows = np.empty((tiles, channels * width), np.int32)
    n_rows = np.empty(tiles, np.int32)
    maps = np.empty(height * line * block, x.dtype)
    return padded, next_nonzero, pixel_rows, filter_rows, n_rows, maps


@njit(cache=True)
def load_image(image, plan, places, memory):
    """Prepare `memory` for the convolutions of one image."""
    padded, next_nonzero, pixel_rows, filter_rows, n_rows, _ = memory
    pad_image(image, plan.width // 2, padded, next_nonzero)
    block = plan.bias.shape[1]
    size = (image.shape[1], image.shape[2])
    list_rows(
        padded, next_nonzero, plan.width, size, places, block, pixel_rows, filter_rows, n_rows
    )


@njit(cache=True)
def convolve_block(b, size, plan, places, vectors, memory):
    """Pre-activations of block b for the image last loaded: (h * w, MB), a view of the memory."""
    padded, _, pixel_rows, filter_rows, n_rows, maps = memory
    image = padded.reshape(-1)
    filters, bias = plan.filters[b], plan.bias[b]
    block = len(bias)
    height, line = size
    tiles = (line + len(places) - 1) // len(places)
    for y in range(height):
        for t in range(tiles):
            place = y * tiles + t
            start = (y * line + min(t * len(places), line - len(places))) * block
            multiply_tile(
                image, pixel_rows[place], 1, filters, filter_rows[place], n_rows[place], plan.width,
                bias, maps, start, block, places, vectors,
            )  # fmt: skip
    return maps.reshape(height * line, block)


@njit(cache=True)
def begin_piece(piece, x, plan, places):
    """Images and blocks of a piece of work (first, end, first, end), and its working memory."""
    first, end = share(piece // plan.groups, plan.pieces, len(x))
    first_block, end_block = share(piece % plan.groups, plan.groups, len(plan.bias))
    return first, end, first_block, end_block, scratch(x, plan, places)


@njit(cache=True)
def maps_of_block(b, plan):
    """The maps that block b computes, as a slice."""
    block = plan.bias.shape[1]
    return slice(b * block, min((b + 1) * block, plan.n_maps))
