"""The sparse half of a training step: what the survivors paste, and the gradients through them.

A survivor is a slot (image, slot) with a value above 0. See kernels/decoder.cu, entries.cu and
gradients.cu.
"""

import functools

import numpy as np

from minisca.backends.cupy import device
from minisca.backends.cupy.device import empty, launch, launch_over, zeros
from minisca.backends.cupy.kernels import sums

#: Side of the tile of pixels that a block decodes, at most; and its warps, at most.
TILE = 32
WARPS = 8
#: Warps of a block that correlates, one entry each.
ENTRIES_OF_BLOCK = 8


def slots_by_map(shape, n_active):
    """Which map each slot belongs to, (n, s) int32: n_active slots a map, map by map."""
    maps = empty(shape, np.int32)
    launch_over(
        maps.size, "units.cu", "name_maps", device.options(np.float32),
        (*device.ints(shape[1], n_active), maps),
    )  # fmt: skip
    return maps


def paste_filters(values, positions, maps, filters, bias, images):
    """The linear decoder of a code (values, positions, maps), into images (n, c, h, w)."""
    n, channels, height, width = images.shape
    n_slots, k = values.shape[1], filters.shape[2]
    sides = min(height, TILE), min(width, TILE)
    tile_bytes = sides[0] * sides[1] * values.dtype.itemsize
    n_tiles = -(-height // sides[0]) * -(-width // sides[1])
    n_warps = min(WARPS, n_slots, device.GRANTED_BYTES // tile_bytes)
    sizes = (n_slots, channels, height, width, k, *sides)
    launch(
        "decoder.cu", "decode", device.options(values.dtype),
        n * channels * n_tiles, n_warps * device.WARP,
        (values, positions, maps, filters, bias, *device.ints(*sizes), images),
        shared_bytes=n_warps * tile_bytes,
    )  # fmt: skip


def one_slot_a_map(shape):
    """`slots_by_map` and `list_by_map` of a code with one slot a map; silent slots are listed too.

    They depend on the shape (n, m) alone, so those of the last few shapes are kept: not to be
    written to.
    """
    return _one_slot_a_map(device.platform, *shape)


@functools.lru_cache(maxsize=4)
def _one_slot_a_map(_, n, m):
    maps = slots_by_map((n, m), 1)
    entries, offsets = empty(n * m, np.int64), empty(n * m + 1, np.int64)
    launch_over(
        n * m, "entries.cu", "list_columns", device.options(np.float32),
        (*device.ints(n, m), entries, offsets),
    )  # fmt: skip
    return maps, entries, offsets


def list_by_map(values, maps, n_maps):
    """Survivors map by map: `entries`, and the `offsets` at which each map's images begin."""
    n, n_slots = values.shape
    entries, offsets = empty(n * n_slots, np.int64), empty(n_maps * n + 1, np.int64)
    counts = zeros(n_maps * n, np.int32)
    options = device.options(values.dtype)
    sizes = device.ints(n, n_slots)
    file = "entries.cu"
    launch_over(values.size, file, "count_entries", options, (values, maps, *sizes, counts))
    launch(file, "sum_up", options, 1, 1024, (counts, np.int64(counts.size), offsets))
    launch_over(
        values.size, file, "list_entries", options, (values, maps, offsets, *sizes, entries)
    )
    return entries, offsets


def sum_gradients(x, error, values, positions, maps, entries, offsets, filters):
    """d_encoder_filters, d_encoder_bias, d_decoder_filters of a code, listed in `entries`."""
    n, channels, height, width = x.shape
    n_slots, (m, _, k, _) = values.shape[1], filters.shape
    device.ints(height * width, n_taps := channels * k * k)
    n_threads = device.threads_for(n_taps)
    blocks = m * -(-n_taps // n_threads)
    images_of_piece, pieces = sums.cut(n, blocks)
    parts = empty((pieces, 2 * filters.size + m), x.dtype)
    deltas = correlate_errors(error, values, positions, maps, entries, offsets[-1:], filters)
    sizes = (n, images_of_piece, n_slots, m, channels, height, width, k)
    launch(
        "gradients.cu", "add_patches", device.options(x.dtype), pieces * blocks, n_threads,
        (
            *(x, error, values, positions, entries, offsets, deltas),
            *device.ints(*sizes),
            parts,
        ),
    )  # fmt: skip
    gradients = sums.sum_pieces(parts)
    d_encoder, d_decoder = gradients[: 2 * filters.size].reshape(2, *filters.shape)
    return d_encoder, gradients[2 * filters.size :], d_decoder


def correlate_errors(error, values, positions, maps, entries, n_entries, filters):
    """2 <W, e_p> of every entry."""
    _, channels, height, width = error.shape
    deltas = empty(values.size, values.dtype)
    sizes = (values.shape[1], channels, height, width, filters.shape[2])
    launch(
        "gradients.cu", "correlate_errors", device.options(values.dtype),
        -(-values.size // ENTRIES_OF_BLOCK), ENTRIES_OF_BLOCK * device.WARP,
        (
            *(error, values, positions, maps, entries, n_entries, filters),
            *device.ints(*sizes),
            deltas,
        ),
    )  # fmt: skip
    return deltas
