"""The gradients of a code, by slices: kernels/patches.cu."""

import math
from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import slices, sums, survivors
from minisca.backends.cupy.runtime.launching import WARP, launch, launch_over, threads_for
from minisca.chunks import ceil_div

FILE = "patches.cu"
#: Threads of a block, at most; and where images come in rounds, or a lane's sums take many
#: registers, more than these bytes, or as many and error and images lie side by side.
THREADS, FEWER_THREADS, FEW_SUMS_BYTES = 768, 512, 16


class Cut(NamedTuple):
    """How images and maps are cut. On the device depends only what comes at once, and by whom."""

    of_piece: int  # images
    of_block: int  # maps
    both: bool  # whether a block has error and images side by side
    at_once: int  # images
    n_threads: int
    shared_bytes: int

    @property
    def in_rounds(self):
        return self.at_once < self.of_piece


def make_cut(layout, n, m):
    """The `Cut` for n images under m maps.

    Few pieces, since their gradients are added afterwards, and blocks enough for a device.
    """
    room = slices.LEAST_SHARED_BYTES - slices.STAGED_BYTES
    both = layout.slices == 1 and 2 * layout.image_bytes <= room
    image_bytes = layout.image_bytes * (2 if both else 1)
    entry_bytes = _entry_bytes(layout)

    def images_in(limit, n_threads):
        return (limit - n_threads * entry_bytes) // image_bytes

    sums_bytes = layout.rounds * layout.lane_channels * layout.itemsize
    few = sums_bytes < FEW_SUMS_BYTES or (sums_bytes == FEW_SUMS_BYTES and not both)
    n_threads = min(THREADS if few else FEWER_THREADS, m * WARP)
    groups = ceil_div(m, n_threads // WARP)
    wanted = max(1, slices.BLOCKS // (layout.slices * groups))
    of_piece = max(ceil_div(n, wanted), min(n, sums.LEAST_IMAGES))
    of_piece = min(of_piece, images_in(slices.SHARED_BYTES, n_threads))
    blocks = layout.slices * ceil_div(n, of_piece)
    of_block = ceil_div(m, max(1, min(groups, slices.BLOCKS // blocks)))

    limit = slices.shared_limit()
    # of each image that comes at once the block has a place for an entry, and for its sum
    at_once = min(of_piece, n_threads, images_in(limit, n_threads))
    if at_once < of_piece:
        n_threads = min(n_threads, FEWER_THREADS)
        at_once = min(of_piece, n_threads, images_in(limit, n_threads))
    shared_bytes = at_once * image_bytes + n_threads * entry_bytes
    return Cut(of_piece, of_block, both, at_once, n_threads, shared_bytes)


def _entry_bytes(layout):
    """Of kernels/patches.cu's Entry."""
    return 2 * (layout.itemsize + np.dtype(np.int32).itemsize)


def sum_in_pieces(x, error, values, positions, filters, maps):
    """The gradients (pieces, numbers) of a code, of every piece of the images; `split` names them.

    maps: as of `winners_backward`. None where images do not fit into a block's memory.
    """
    layout = slices.make_layout(x.shape, filters.shape[2], x.dtype)
    if layout is None:
        return None
    (n, n_slots), m, channels = values.shape, len(filters), layout.channels
    listed = None if maps is None else survivors.list_by_map(values, maps, m)
    cut = make_cut(layout, n, m)
    pieces = ceil_div(n, cut.of_piece)
    parts = empty((pieces, 2 * filters.size + m + channels), x.dtype)
    entries, offsets = listed or (empty(1, np.int64),) * 2  # nobody reads them
    is_whole = int(listed is None)

    def get(name):
        return layout.kernel(FILE, name, IN_ROUNDS=int(cut.in_rounds))

    def walk(name, *args):
        n_blocks = layout.slices * pieces * ceil_div(m, cut.of_block)
        args = *args, cut.of_piece, cut.at_once, m, cut.of_block, *layout.sizes, parts
        launch(get(name), n_blocks, cut.n_threads, *args, shared_bytes=cut.shared_bytes)

    code = values, positions, entries, offsets, is_whole, n, n_slots
    if cut.both:
        walk("walk_both", error, x, *code, filters)
    else:
        size = np.int64(values.size)
        doubles_of_entry = _entry_bytes(layout) // np.dtype(np.float64).itemsize
        packed = empty((size, doubles_of_entry), np.float64)
        partials = empty((layout.slices, size), x.dtype)
        launch_over(get("pack_entries"), size, *code, m, *layout.sizes, packed)
        walk("walk_error", error, packed, offsets, is_whole, n, filters, partials, size)
        d_bias, stride = parts.reshape(-1)[2 * filters.size :], np.int64(parts.shape[1])
        args = partials, layout.slices, offsets, is_whole, n, cut.of_piece, m, packed
        threads = threads_for(cut.of_piece)
        launch(get("sum_deltas"), m * pieces, threads, *args, d_bias, stride, size)
        walk("walk_images", x, packed, offsets, is_whole, n)
    return parts


def starts(shape):
    """Where in a piece's numbers its gradients begin, as of `split`."""
    size = math.prod(shape)
    return 0, 2 * size, size, 2 * size + shape[0]


def split(numbers, shape):
    """The gradients of a piece, or their sum, in the order of `winners_backward`.

    shape: (m, c, k, k), of the filters.
    """
    size, m = math.prod(shape), shape[0]
    d_encoder, d_decoder = numbers[: 2 * size].reshape(2, *shape)
    biases = numbers[2 * size :]
    return d_encoder, biases[:m], d_decoder, biases[m:]
