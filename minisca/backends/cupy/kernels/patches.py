"""The gradients of a code, by slices: kernels/patches.cu."""

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import slices, sums
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.launching import WARP, launch, launch_over
from minisca.chunks import ceil_div

FILE = "patches.cu"


#: Threads of a block, at most, and where a lane's sums take more bytes: kernels/patches.cu.
THREADS, THREADS_OF_MANY_SUMS, FEW_SUMS_BYTES = 768, 512, 16


def sum_gradients(layout, x, error, values, positions, listed, filters):
    """The gradients of a code, in the order of `winners_backward`.

    listed: its entries and their offsets (`survivors.list_by_map`); None with one slot a map.
    """
    (n, n_slots), m, channels = values.shape, len(filters), layout.channels
    few = layout.rounds * layout.lane_channels * layout.itemsize <= FEW_SUMS_BYTES
    n_threads = min(THREADS if few else THREADS_OF_MANY_SUMS, m * WARP)
    entry_bytes = 2 * (layout.itemsize + np.dtype(np.int32).itemsize)
    sides = 2 if layout.slices == 1 else 1
    room = machine.platform.shared_limit - n_threads * entry_bytes
    of_piece, of_block = cut(layout, n, m, n_threads // WARP, room // (sides * layout.image_bytes))
    pieces = ceil_div(n, of_piece)
    parts = empty((pieces, 2 * filters.size + m + channels), x.dtype)
    entries, offsets = listed or (empty(1, np.int64),) * 2  # nobody reads them
    is_whole = int(listed is None)

    def walk(name, *args):
        n_blocks = layout.slices * pieces * ceil_div(m, of_block)
        shared_bytes = sides * of_piece * layout.image_bytes + n_threads * entry_bytes
        args = *args, of_piece, m, of_block, *layout.sizes, parts
        launch(layout.kernel(FILE, name), n_blocks, n_threads, *args, shared_bytes=shared_bytes)

    code = values, positions, entries, offsets, is_whole, n, n_slots
    if layout.slices == 1:
        walk("walk_both", error, x, *code, filters)
    else:
        size = np.int64(values.size)
        packed = empty((size, entry_bytes // np.dtype(np.float64).itemsize), np.float64)
        partials = empty((layout.slices, size), x.dtype)
        pack, add = (layout.kernel(FILE, name) for name in ("pack_entries", "sum_deltas"))
        launch_over(pack, size, *code, m, *layout.sizes, packed)
        walk("walk_error", error, packed, offsets, is_whole, n, filters, partials, size)
        launch_over(add, size, partials, layout.slices, packed)
        walk("walk_images", x, packed, offsets, is_whole, n)
    gradients = sums.sum_pieces(parts)
    d_encoder, d_decoder = gradients[: 2 * filters.size].reshape(2, *filters.shape)
    biases = gradients[2 * filters.size :]
    return d_encoder, biases[:m], d_decoder, biases[m:]


def cut(layout, n, m, n_warps, most_images):
    """Images of a piece, and maps of a block that has n_warps of them at once.

    Few pieces, since their gradients are added afterwards, and blocks enough for a device. On them
    depends the order of the sums: on the batch, the layer and a block's memory.
    """
    groups = ceil_div(m, n_warps)
    wanted = max(1, slices.BLOCKS // (layout.slices * groups))
    of_piece = max(ceil_div(n, wanted), min(n, sums.LEAST_IMAGES))
    of_piece = min(of_piece, most_images)
    blocks = layout.slices * ceil_div(n, of_piece)
    return of_piece, ceil_div(m, max(1, min(groups, slices.BLOCKS // blocks)))
