"""The sparse half of a training step: what the survivors paste, and the gradients through them.

A survivor is a slot (image, slot) with a value above 0. See kernels/survivors.cu.
"""

import functools

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import sums
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.arrays import zeros
from minisca.backends.cupy.runtime.launching import (
    GRANTED_BYTES,
    WARP,
    count,
    kernel,
    launch,
    launch_over,
    threads_for,
)
from minisca.chunks import ceil_div

FILE = "survivors.cu"
#: Side of the tile of pixels that a block decodes, at most; and its warps, at most.
TILE = 32
WARPS = 8
#: Warps of a block that correlates, one entry each.
ENTRIES_OF_BLOCK = 8


def paste_filters(values, positions, maps, filters, bias, images):
    """The linear decoder of a code (values, positions, maps), into images (n, c, h, w)."""
    n, channels, height, width = images.shape
    n_slots, k = values.shape[1], filters.shape[2]
    sides = min(height, TILE), min(width, TILE)
    tile_bytes = sides[0] * sides[1] * values.dtype.itemsize
    n_tiles = ceil_div(height, sides[0]) * ceil_div(width, sides[1])
    n_warps = min(WARPS, n_slots, GRANTED_BYTES // tile_bytes)
    sizes = n_slots, channels, height, width, k, *sides
    args = values, positions, maps, filters, bias, *sizes, images
    n_blocks, shared_bytes = n * channels * n_tiles, n_warps * tile_bytes
    decode = kernel(FILE, "decode", values.dtype)
    launch(decode, n_blocks, n_warps * WARP, *args, shared_bytes=shared_bytes)


def slots_by_map(shape, n_active):
    """Which map each slot belongs to, (n, s) int32: n_active slots a map, map by map."""
    maps = empty(shape, np.int32)
    launch_over(kernel(FILE, "name_maps", np.float32), maps.size, shape[1], n_active, maps)
    return maps


def one_slot_a_map(shape):
    """`slots_by_map` and `list_by_map` of a code with one slot a map; silent slots are listed too.

    They depend on the shape (n, m) alone, so those of the last few shapes are kept: not to be
    written to.
    """
    return _one_slot_a_map(machine.platform, *shape)


@functools.lru_cache(maxsize=4)
def _one_slot_a_map(_, n, m):
    maps = slots_by_map((n, m), 1)
    entries, offsets = empty(n * m, np.int64), empty(n * m + 1, np.int64)
    launch_over(kernel(FILE, "list_columns", np.float32), n * m, n, m, entries, offsets)
    return maps, entries, offsets


def list_by_map(values, maps, n_maps):
    """Survivors map by map: `entries`, and the `offsets` at which each map's images begin."""
    n, n_slots = values.shape
    entries, offsets = empty(n * n_slots, np.int64), empty(n_maps * n + 1, np.int64)
    counts = zeros(n_maps * n, np.int32)
    count_entries, sum_up, list_entries = (
        kernel(FILE, name, values.dtype) for name in ("count_entries", "sum_up", "list_entries")
    )
    launch_over(count_entries, values.size, values, maps, n, n_slots, counts)
    launch(sum_up, 1, 1024, counts, np.int64(counts.size), offsets)
    launch_over(list_entries, values.size, values, maps, offsets, n, n_slots, entries)
    return entries, offsets


def sum_gradients(x, error, values, positions, maps, entries, offsets, filters):
    """d_encoder_filters, d_encoder_bias, d_decoder_filters of a code, listed in `entries`."""
    n, channels, height, width = x.shape
    n_slots, (m, _, k, _) = values.shape[1], filters.shape
    count(height * width), count(n_taps := channels * k * k)
    n_threads = threads_for(n_taps)
    blocks = m * ceil_div(n_taps, n_threads)
    images_of_piece, pieces = sums.cut(n, blocks)
    parts = empty((pieces, 2 * filters.size + m), x.dtype)
    deltas = correlate_errors(error, values, positions, maps, entries, offsets[-1:], filters)
    arrays = x, error, values, positions, entries, offsets, deltas
    args = *arrays, n, images_of_piece, n_slots, m, channels, height, width, k, parts
    launch(kernel(FILE, "add_patches", x.dtype), pieces * blocks, n_threads, *args)
    gradients = sums.sum_pieces(parts)
    d_encoder, d_decoder = gradients[: 2 * filters.size].reshape(2, *filters.shape)
    return d_encoder, gradients[2 * filters.size :], d_decoder


def correlate_errors(error, values, positions, maps, entries, n_entries, filters):
    """2 <W, e_p> of every entry."""
    _, channels, height, width = error.shape
    deltas = empty(values.size, values.dtype)
    arrays = error, values, positions, maps, entries, n_entries, filters
    args = *arrays, values.shape[1], channels, height, width, filters.shape[2], deltas
    correlate = kernel(FILE, "correlate_errors", values.dtype)
    n_blocks = ceil_div(values.size, ENTRIES_OF_BLOCK)
    launch(correlate, n_blocks, ENTRIES_OF_BLOCK * WARP, *args)
    return deltas
