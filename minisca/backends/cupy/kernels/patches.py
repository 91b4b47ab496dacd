"""The gradients of a code, by slices: kernels/patches.cu, entries.cu and patch_updates.cu."""

import math
from typing import Any, NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import slices, sums, survivors
from minisca.backends.cupy.runtime.launching import WARP, launch, launch_over, threads_for
from minisca.chunks import ceil_div

FILE, FILE_OF_ENTRIES, FILE_OF_UPDATES = "patches.cu", "entries.cu", "patch_updates.cu"
#: Threads of a block, at most; and where images come in rounds, or a lane's taps take many
#: registers, more than these bytes, or as many and error and images lie side by side.
THREADS, FEWER_THREADS, FEW_TAPS_BYTES = 768, 512, 16


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

    few = layout.taps_bytes + both <= FEW_TAPS_BYTES
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
    """Of kernels/entries.cuh's Entry."""
    return 2 * (layout.itemsize + np.dtype(np.int32).itemsize)


def has_room(layout, in_rounds):
    """Whether a walk has registers for an update, which rounds take too."""
    return not in_rounds or layout.taps_bytes <= FEW_TAPS_BYTES


class Walks(NamedTuple):
    """What the gradients of a code are computed from, and how that is cut."""

    x: Any
    error: Any
    filters: Any  # the decoder's
    code: tuple  # as walk_both takes it
    layout: slices.Layout
    cut: Cut

    @property
    def pieces(self):
        return ceil_div(len(self.x), self.cut.of_piece)

    @property
    def may_update(self):
        """Whether `update_` can be had."""
        one_piece = self.pieces == 1 and not self.cut.both
        return one_piece and has_room(self.layout, self.cut.in_rounds)

    def empty_parts(self):
        m, channels = self.filters.shape[:2]
        return empty((self.pieces, 2 * self.filters.size + m + channels), self.x.dtype)

    def walk(self, file, name, parts, *args):
        """`args` are those before the ones that all walks have."""
        m, cut = len(self.filters), self.cut
        n_blocks = self.layout.slices * self.pieces * ceil_div(m, cut.of_block)
        args = *args, cut.of_piece, cut.at_once, m, cut.of_block, *self.layout.sizes, parts
        made = self.layout.kernel(file, name, IN_ROUNDS=int(cut.in_rounds))
        launch(made, n_blocks, cut.n_threads, *args, shared_bytes=cut.shared_bytes)


def plan_walks(x, error, values, positions, filters, maps):
    """The `Walks` of a code; None where images do not fit into a block's memory.

    filters: the decoder's. maps: as of `winners_backward`.
    """
    layout = slices.make_layout(x.shape, filters.shape[2], x.dtype)
    if layout is None:
        return None
    listed = None if maps is None else survivors.list_by_map(values, maps, len(filters))
    listed_or_nothing = listed or (empty(1, np.int64),) * 2  # nobody reads the latter
    code = values, positions, *listed_or_nothing, int(listed is None), *values.shape
    return Walks(x, error, filters, code, layout, make_cut(layout, len(x), len(filters)))


def sum_in_pieces(walks):
    """The gradients (pieces, numbers) of every piece of the images; `split` names them."""
    parts, filters = walks.empty_parts(), walks.filters
    if walks.cut.both:
        walks.walk(FILE, "walk_both", parts, walks.error, walks.x, *walks.code, filters)
    else:
        d_bias = parts.reshape(-1)[offsets(filters.shape)[1] :]
        _walk_twice(walks, FILE, "", parts, (filters,), (d_bias, np.int64(parts.shape[1])), ())
    return parts


def update_(walks, parameters, velocities, rates, momentum):
    """A step by gradients that are never written, where it `may_update`.

    parameters, velocities: of a layer, in the order of `split`. rates: an array (4,).
    """
    waiting = walks.empty_parts() if walks.cut.in_rounds else empty(1, walks.x.dtype)
    rates, momentum = [rates[i : i + 1] for i in range(4)], walks.x.dtype.type(momentum)
    of_each = zip(parameters, velocities, rates, strict=True)
    encoder, encoder_bias, decoder, decoder_bias = of_each
    args = (*decoder, *decoder_bias, momentum), (*encoder_bias, momentum), (*encoder, momentum)
    _walk_twice(walks, FILE_OF_UPDATES, "_and_update", waiting, *args)


def _walk_twice(walks, file, suffix, parts, of_decoder, of_bias, of_encoder):
    """Through the error, then through the images, by the kernels of a name with that suffix.

    of_decoder, of_bias, of_encoder: their arguments that say where the gradients go.
    """
    layout, cut, m = walks.layout, walks.cut, len(walks.filters)
    *_, listed_from, is_whole, n, _ = walks.code
    size = np.int64(walks.code[0].size)
    packed = empty((size, _entry_bytes(layout) // np.dtype(np.float64).itemsize), np.float64)
    partials = empty((layout.slices, size), walks.x.dtype)
    entries = packed, listed_from, is_whole, n

    pack = layout.kernel(FILE_OF_ENTRIES, "pack_entries")
    launch_over(pack, size, *walks.code, m, *layout.sizes, packed)
    args = walks.error, *entries, partials, size, *of_decoder
    walks.walk(file, f"walk_error{suffix}", parts, *args)
    add_up = layout.kernel(FILE_OF_ENTRIES, f"sum_deltas{suffix}")
    args = partials, layout.slices, *entries, cut.of_piece, m, *of_bias, size
    launch(add_up, m * walks.pieces, threads_for(cut.of_piece), *args)
    walks.walk(file, f"walk_images{suffix}", parts, walks.x, *entries, *of_encoder)


def offsets(shape):
    """Where a piece's gradients begin among its numbers, as of `split`."""
    size, m = math.prod(shape), shape[0]
    return 0, 2 * size, size, 2 * size + m


def split(numbers, shape):
    """The gradients of a piece, or their sum, in the order of `winners_backward`.

    shape: (m, c, k, k), of the filters.
    """
    shapes = shape, shape[:1], shape, shape[1:2]
    return tuple(
        numbers[offset : offset + math.prod(own)].reshape(own)
        for offset, own in zip(offsets(shape), shapes, strict=True)
    )
