"""Reconstruction and gradients from the survivors alone, over sliced images (see `slices`).

Source: paper section 2.1, where all units but the survivors are zero. A survivor of map i pastes
its filter W_i into the reconstruction. It adds a patch of the error to the gradient of W_i, and a
patch of the image to that of P_i.

The work is cut by slices of channels and by maps. The problem alone decides how. Every piece owns
what it sums up, so no sum depends on the number of threads. Within a piece, a block of filters and
a slice of some images stay in the second-level cache while all their survivors pass. For the
gradients, survivors come map by map, with the sums in registers. For the reconstruction, they come
image by image.
"""

from typing import NamedTuple

import numpy as np

from minisca.backends.cpu.kernels import slices
from minisca.backends.cpu.kernels.by_map import Survivors, sort_by_map
from minisca.backends.cpu.kernels.errors import subtract
from minisca.backends.cpu.runtime import aligned_zeros, in_parallel, kernel, recycler, share
from minisca.backends.cpu.vectors import patches
from minisca.backends.cpu.vectors.machine_code import call

#: What a piece keeps in cache, images and maps: a small second-level cache has 512 KB.
IMAGES_BYTES = 200 << 10
MAPS_BYTES = 256 << 10
#: Products of patches and filters that are worth a piece of work when they are summed up.
PRODUCTS_PIECE = 1 << 16


def decode(values, positions, maps, filters, bias, images, subtraction=()):
    """Fill images (n, c, h, w) with the biases (c,) and the survivors' filters (m, c, k, k).

    values, positions, maps (n, s): every image's slots stand by rising map. subtraction: arguments
    of `errors.subtract`, but for the first, which is then done with every image.
    """
    k, (n, channels, height, _) = filters.shape[2], images.shape
    parts = slices.parts(images.shape, k, images.dtype, margin=k // 2)
    at_once = len(parts) == 1 and channels <= slices.MOST_CHANNELS
    for rows, lines in parts:
        # what reaches these lines: survivors whose patches meet them
        top, bottom = max(0, lines.start - k // 2), min(height, lines.stop + k // 2)
        ends, code = (top, bottom, lines.start, lines.stop), (values[rows], positions[rows])
        what = *code, maps[rows], filters, bias, ends, images[rows]
        _decode_lines(*what, subtraction if at_once else ())
    if subtraction and not at_once:
        in_parallel(subtract, n, *subtraction)


def _decode_lines(values, positions, maps, filters, bias, ends, images, subtraction):
    """Fill lines ends[2] to ends[3] of images, from survivors of lines ends[0] to ends[1]."""
    k, (n, channels, _, width) = filters.shape[2], images.shape
    pasted = slices.empty_slices(n, channels, ends[1] - ends[0], width, k, images.dtype)
    per_slice = slices.slice_channels(channels)
    run = slices.run_length(k, per_slice)
    block = _maps_in_cache(filters, run, arrays=1)
    pieces = min(n, max(1, 16 // len(pasted)))
    slice_filter = patches.slice_function(k, per_slice, run, filters.dtype)
    paste = patches.paste_function(k, run, filters.dtype)
    code, how = (values, positions, maps), (pieces, block, slice_filter, paste)
    what = pasted, code, filters, bias, how, ends, images
    if subtraction:
        in_parallel(_decode_and_subtract, pieces, pieces, what, subtraction)
    else:
        in_parallel(_decode, len(pasted) * pieces, *what)


@kernel
def _decode_and_subtract(piece, pieces, what, subtraction):
    """What some images, in one slice, become, and miss: arguments of `_decode` and `subtract`."""
    _decode(piece, *what)
    first, end = share(piece, pieces, len(subtraction[0]))
    for i in range(first, end):
        subtract(i, *subtraction)


@kernel
def _decode(piece, pasted, code, filters, bias, how, ends, decoded):
    """Paste into one slice of some images, then copy it out.

    code: values, positions and maps, each (n, s). how: pieces of a slice; maps whose filters are
    kept in cache; addresses of functions. ends: as of `_decode_lines`.
    """
    values, positions, maps = code
    pieces, block, slice_filter, paste = how
    first_line, end_line, top, bottom = ends
    s = piece // pieces
    first, end = share(piece % pieces, pieces, pasted.shape[1])
    images, stride = pasted[s], pasted.shape[3]
    n_maps, channels, k, _ = filters.shape
    n_slots, width = values.shape[1], decoded.shape[3]
    per_slice = slices.slice_channels(channels)
    run = slices.run_length(k, per_slice)
    sliced = aligned_zeros(block * k * run, filters.dtype)
    # of an image's survivors of the block: their patches, whose filters they paste, and values
    offsets, owners = np.empty(n_slots, np.int64), np.empty(n_slots, np.int64)
    scales = np.empty(n_slots, values.dtype)
    images[first:end] = 0
    reached = np.zeros(len(images), np.int64)  # the slot from which an image's next maps begin
    for first_map in range(0, n_maps, block):
        end_map = min(first_map + block, n_maps)
        slices.move_filters(slice_filter, filters, s, first_map, end_map, sliced)
        for i in range(first, end):
            slot, count = reached[i], 0
            while slot < n_slots and maps[i, slot] < end_map:
                row, column = divmod(positions[i, slot], width)
                if values[i, slot] != 0 and first_line <= row < end_line:
                    offsets[count] = (row - first_line) * stride + column * per_slice
                    owners[count] = maps[i, slot] - first_map
                    scales[count] = values[i, slot]
                    count += 1
                slot += 1
            reached[i] = slot
            call(paste, images[i], offsets, owners, scales, count, stride, sliced)
    lines = top, bottom
    slices.unslice_images(s, first, end, pasted, first_line, lines, bias, k // 2, decoded)


class Summing(NamedTuple):
    """How the gradients' patches are summed. Functions are given by their addresses."""

    pieces: int  # of a slice
    chunk: int  # images that stay in cache with a block of maps
    block: int  # maps
    rows: int  # of a patch that are summed at a time
    sum_rows: int  # sums so many
    sum_last_rows: int  # sums those left
    slice_filter: int
    unslice_filter: int
    correlating: bool  # whether products of patches and filters are wanted too
    adding: bool  # to the sums of the survivors before


def gradients(x, error, values, positions, maps, filters):
    """The results of `winners_backward`; filters: the decoder's."""
    d_encoder_filters = recycler.empty(filters.shape, x.dtype)
    d_decoder_filters = recycler.empty(filters.shape, x.dtype)
    d_encoder_bias, error_sums = np.zeros(len(filters), x.dtype), np.zeros(x.shape[1])
    adding = False
    for rows, lines in slices.parts(x.shape, filters.shape[2], x.dtype):
        code = values[rows], positions[rows], maps[rows]
        what = lines, code, filters, d_encoder_filters, d_decoder_filters, adding
        d_bias, sums = _sum_gradients(x[rows], error[rows], *what)
        d_encoder_bias += d_bias
        error_sums += sums
        adding = True
    d_decoder_bias = (2 * error_sums).astype(x.dtype)
    return d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias


def _sum_gradients(x, error, lines, code, filters, d_encoder_filters, d_decoder_filters, adding):
    """Fill, or add to, the filters' gradients, from the survivors in some lines of images.

    code: values, positions and maps. Returns the gradient of the encoder's bias and the sums of the
    error (c,).
    """
    n_maps, channels, k, _ = filters.shape
    dtype, n_slots = x.dtype, code[0].size
    per_slice = slices.slice_channels(channels)
    run = slices.run_length(k, per_slice)
    images, errors, error_sums = slices.slice_images(x, error, k, lines)
    n_slices, _, padded, stride = errors.shape
    strides, ends = (padded * stride, stride, per_slice), (lines.start, lines.stop)
    survivors = Survivors(*sort_by_map(*code, n_maps, x.shape[3], ends, strides))
    chunk = max(1, IMAGES_BYTES // (padded * stride * dtype.itemsize))
    block = _maps_in_cache(filters, run, arrays=2)
    pieces = min(n_maps, max(1, 16 // n_slices))
    rows = patches.rows_at_a_time(k, run, dtype)
    slice_filter, unslice_filter = (
        patches.slice_function(k, per_slice, run, dtype, back) for back in (False, True)
    )
    products = recycler.empty((n_slices, n_slots), dtype)
    two, deltas, d_bias = dtype.type(2), np.empty_like(survivors.values), np.empty(n_maps, dtype)

    def patch_sums(sliced, scales, d_filters, correlating):
        sum_rows = patches.sum_function(rows, run, dtype, correlating)
        sum_last_rows = patches.sum_function(k % rows or rows, run, dtype, correlating)
        functions = sum_rows, sum_last_rows, slice_filter, unslice_filter
        summing = Summing(pieces, chunk, block, rows, *functions, correlating, adding)
        return sliced, survivors, scales, filters, summing, d_filters, products

    of_errors = patch_sums(errors, two * survivors.values, d_decoder_filters, correlating=True)
    of_images = patch_sums(images, deltas, d_encoder_filters, correlating=False)
    to_deltas = products, survivors.starts, two, deltas, d_bias
    if n_slices == 1:  # whoever has a map's products has them whole
        in_parallel(_sum_all, pieces, pieces, of_errors, to_deltas, of_images)
    else:
        n_pieces = max(1, min(16, products.size // PRODUCTS_PIECE))
        in_parallel(_sum_patches, n_slices * pieces, *of_errors)
        in_parallel(_sum_products, n_pieces, n_pieces, *to_deltas)
        in_parallel(_sum_patches, n_slices * pieces, *of_images)
    return d_bias, error_sums.sum(axis=0)


def _maps_in_cache(filters, run, arrays):
    """How many maps' sliced filters, `arrays` times over, stay in cache."""
    return max(1, MAPS_BYTES // (arrays * filters.shape[2] * run * filters.itemsize))


@kernel
def _sum_all(piece, pieces, of_errors, to_deltas, of_images):
    """Both gradients of some maps, of images in one slice: arguments of the next two kernels."""
    _sum_patches(piece, *of_errors)
    _sum_products(piece, pieces, *to_deltas)
    _sum_patches(piece, *of_images)


@kernel
def _sum_patches(piece, sliced, survivors, scales, filters, summing, d_filters, products):
    """d_filters = sum over survivors of scale times patch, for one slice of some maps.

    sliced (slices, n, padded h, stride): images or errors. Where `summing.correlating`, also
    products (slices, e): of each survivor's patch and its map's filter, in every slice.
    """
    starts, pieces, block = survivors.starts, summing.pieces, summing.block
    s = piece // pieces
    first, end = share(piece % pieces, pieces, len(filters))
    _, n, height, stride = sliced.shape
    first_pixel, own_products = s * n * height * stride, s * products.shape[1]
    k, rows, offsets = filters.shape[2], summing.rows, survivors.offsets
    run = slices.run_length(k, slices.slice_channels(filters.shape[1]))
    weights = aligned_zeros(block * k * run, filters.dtype)
    sums = aligned_zeros(block * k * run, filters.dtype)
    reached = starts[first:end].copy()
    if summing.correlating:
        products[s, starts[first] : starts[end]] = 0
    for first_map in range(first, end, block):
        end_map = min(first_map + block, end)
        if summing.correlating:
            slices.move_filters(summing.slice_filter, filters, s, first_map, end_map, weights)
        sums[:] = 0
        if summing.adding:
            slices.move_filters(summing.slice_filter, d_filters, s, first_map, end_map, sums)
        for end_image in range(summing.chunk, n + summing.chunk, summing.chunk):
            end_offset = end_image * height * stride
            for m in range(first_map, end_map):
                start = e = reached[m - first]
                while e < starts[m + 1] and offsets[e] < end_offset:
                    e += 1
                reached[m - first] = e
                at, scale = (offsets, start), (scales, start)
                found = products, own_products + start
                for row in range(0, k, rows):
                    own = ((m - first_map) * k + row) * run
                    sum_rows = summing.sum_rows if row + rows <= k else summing.sum_last_rows
                    image = sliced, first_pixel + row * stride
                    total, weight = (sums, own), (weights, own)
                    call(sum_rows, image, at, scale, found, e - start, stride, total, weight)
        slices.move_filters(summing.unslice_filter, d_filters, s, first_map, end_map, sums)


@kernel
def _sum_products(piece, pieces, products, starts, scale, deltas, sums):
    """Deltas: scale times each survivor's products, over the slices. And their sums map by map."""
    first, end = share(piece, pieces, len(sums))
    own = deltas[starts[first] : starts[end]]
    own[:] = 0
    for s in range(len(products)):
        product = products[s, starts[first] : starts[end]]
        for e in range(len(own)):
            own[e] += product[e]
    for m in range(first, end):
        sums[m] = 0
        for e in range(starts[m], starts[m + 1]):
            deltas[e] *= scale
            sums[m] += deltas[e]
