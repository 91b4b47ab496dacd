"""Reconstruction and gradients from the survivors alone, over sliced images (see `slices`).

The work is cut by slices of channels and by maps, the problem alone deciding how, and every piece
owns what it sums up: no sum depends on the number of threads. Within a piece a block of filters and
a slice of some images stay in the second-level cache while all their survivors pass, map by map for
the gradients, whose sums then stand in registers, image by image for the reconstruction.
"""

import numpy as np
from numba import njit

from minisca.backends.cpu.kernels import slices
from minisca.backends.cpu.runtime.arrays import aligned_zeros, share
from minisca.backends.cpu.runtime.parallel import in_parallel
from minisca.backends.cpu.runtime.recycler import recycler
from minisca.backends.cpu.vectors import patches

#: What a piece keeps in cache: about half of a second-level cache for images, a quarter for maps.
IMAGES_BYTES = 400 << 10
MAPS_BYTES = 256 << 10
#: Products of patches and filters that are worth a piece of work when they are summed up.
DELTAS_PIECE = 1 << 16


def decode(values, positions, maps, filters, bias, images):
    """Fill images (n, c, h, w) with the biases (c,) and the survivors' filters (m, c, k, k).

    values, positions, maps (n, s): every image's slots stand by rising map.
    """
    k, line = filters.shape[2], images.shape[3]
    pasted = slices.empty_slices(*images.shape, k, images.dtype)
    stride = pasted.shape[3]
    per_slice = slices.slice_channels(filters.shape[1])
    run = slices.run_length(k, per_slice)
    rows, columns = np.divmod(positions, line)
    places = rows * np.int64(stride) + columns * np.int64(per_slice)
    block = _maps_in_cache(filters, run, arrays=1)
    pieces = min(len(values), max(1, 16 // len(pasted)))
    in_parallel(
        _decode, len(pasted) * pieces, pasted, pieces, values, places, maps, filters, block,
        slices.filter_function(k, per_slice, run, filters.dtype),
        patches.paste_function(k, run, filters.dtype), bias, images,
    )  # fmt: skip


def gradients(x, error, values, positions, maps, decoder_filters):
    """The results of `winners_backward`."""
    n_maps, channels, k, _ = decoder_filters.shape
    per_slice = slices.slice_channels(channels)
    run = slices.run_length(k, per_slice)
    images, errors, error_sums = slices.slice_images(x, error, k)
    n_slices, _, padded, stride = errors.shape
    starts, places, kept, owners = sort_by_map(
        values, positions, maps, n_maps, x.shape[3], padded * stride, stride, per_slice
    )
    two = values.dtype.type(2)
    chunk = max(1, IMAGES_BYTES // (padded * stride * x.itemsize))
    block = _maps_in_cache(decoder_filters, run, arrays=2)
    pieces = min(n_maps, max(1, 16 // n_slices))
    rows = patches.rows_at_a_time(k, run, x.dtype)

    def summed(sliced, scales, correlating):
        functions = tuple(
            patches.sum_function(count, run, x.dtype, correlating)
            for count in (rows, k % rows or rows)
        )
        functions += tuple(
            slices.filter_function(k, per_slice, run, x.dtype, back) for back in (False, True)
        )
        d_filters = recycler.empty(decoder_filters.shape, x.dtype)
        in_parallel(
            _sum_gradients, n_slices * pieces, sliced, pieces, starts, places, scales, owners,
            chunk, decoder_filters, block, (rows, *functions), d_filters, correlating, products,
        )  # fmt: skip
        return d_filters

    products = recycler.empty((n_slices, values.size), x.dtype)
    d_decoder_filters = summed(errors, two * kept, correlating=True)
    deltas, d_encoder_bias = deltas_of(products, starts, two)
    d_encoder_filters = summed(images, deltas, correlating=False)
    d_decoder_bias = (2 * error_sums.sum(axis=0)).astype(x.dtype)
    return d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias


def _maps_in_cache(filters, run, arrays):
    """How many maps' sliced filters, `arrays` times over, stay in cache."""
    return max(1, MAPS_BYTES // (arrays * filters.shape[2] * run * filters.itemsize))


@njit(cache=True)
def _decode(
    piece, pasted, pieces, values, places, maps, filters, block, slice_filter, paste, bias, decoded
):  # fmt: skip
    """Paste into one slice of some images, then copy it out.

    `block` maps' filters at a time are kept in cache. pieces: of a slice. places (n, s): where a
    slot's patch begins in its image's slice.
    """
    s = piece // pieces
    first, end = share(piece % pieces, pieces, pasted.shape[1])
    images, stride = pasted[s], pasted.shape[3]
    n_maps, channels, k, _ = filters.shape
    n_slots = values.shape[1]
    flat = filters.reshape(-1)
    run = slices.run_length(k, slices.slice_channels(channels))
    sliced = aligned_zeros(block * k * run, filters.dtype)
    owners = np.empty(n_slots, np.int64)
    images[first:end] = 0
    reached = np.zeros(len(images), np.int64)  # the slot from which an image's next maps begin
    for first_map in range(0, n_maps, block):
        end_map = min(first_map + block, n_maps)
        for m in range(first_map, end_map):
            start, count = slices.filter_slice(m, s, filters.shape)
            own = (m - first_map) * k * run
            slices.slice_filter(slice_filter, flat, start, count, sliced[own:])
        for i in range(first, end):
            start = slot = reached[i]
            while slot < n_slots and maps[i, slot] < end_map:
                owners[slot] = maps[i, slot] - first_map
                slot += 1
            patches.paste(
                paste, images[i], places[i], stride, sliced, owners, values[i], start, slot
            )
            reached[i] = slot
    slices.unslice_images(s, first, end, pasted, bias, k // 2, decoded)


@njit(cache=True)
def sort_by_map(values, positions, maps, n_maps, line, image_length, stride, per_slice):
    """The survivors that are not silent, map by map, within a map by rising image.

    Returns starts (m + 1,): where each map's survivors begin; places (e,) in a slice of all
    images; survivors' values (e,); the images (e,) int64 that own them.
    """
    n, n_slots = values.shape
    starts = np.zeros(n_maps + 1, np.int64)
    for i in range(n):
        for slot in range(n_slots):
            if values[i, slot] > 0:
                starts[maps[i, slot] + 1] += 1
    for m in range(n_maps):
        starts[m + 1] += starts[m]
    total = starts[n_maps]
    places, images = np.empty(total, np.int64), np.empty(total, np.int64)
    kept = np.empty(total, values.dtype)
    free = starts[:-1].copy()
    for i in range(n):
        for slot in range(n_slots):
            if values[i, slot] > 0:
                e = free[maps[i, slot]]
                row, column = divmod(positions[i, slot], line)
                places[e] = i * image_length + row * stride + column * per_slice
                images[e] = i
                kept[e] = values[i, slot]
                free[maps[i, slot]] = e + 1
    return starts, places, kept, images


@njit(cache=True)
def _sum_gradients(
    piece, sliced, pieces, starts, places, scales, images, chunk, filters, block, functions,
    d_filters, correlating, products,
):  # fmt: skip
    """d_filters = sum over survivors of scale times patch, for one slice of some maps.

    sliced (slices, n, padded h, stride): images or errors, of which `chunk` at a time stay in cache
    with `block` maps. `correlating` also gives products (slices, e): of each survivor's patch and
    its map's filter, a slice at a time. pieces: of a slice. functions: how many rows of a patch are
    summed at a time, and addresses.
    """
    s = piece // pieces
    first, end = share(piece % pieces, pieces, len(filters))
    stride = sliced.shape[3]
    k = filters.shape[2]
    run = slices.run_length(k, slices.slice_channels(filters.shape[1]))
    flat, d_flat = filters.reshape(-1), d_filters.reshape(-1)
    rows, sum_rows, sum_last_rows, slice_filter, unslice_filter = functions
    weights = aligned_zeros(block * k * run, filters.dtype)
    sums = aligned_zeros(block * k * run, filters.dtype)
    pixels = sliced[s].reshape(-1)
    reached = starts[first:end].copy()
    if correlating:
        products[s, starts[first] : starts[end]] = 0
    for first_map in range(first, end, block):
        end_map = min(first_map + block, end)
        if correlating:
            for m in range(first_map, end_map):
                start, count = slices.filter_slice(m, s, filters.shape)
                own = (m - first_map) * k * run
                slices.slice_filter(slice_filter, flat, start, count, weights[own:])
        sums[:] = 0
        for end_image in range(chunk, sliced.shape[1] + chunk, chunk):
            for m in range(first_map, end_map):
                start = e = reached[m - first]
                while e < starts[m + 1] and images[e] < end_image:
                    e += 1
                reached[m - first] = e
                for row in range(0, k, rows):
                    own = ((m - first_map) * k + row) * run
                    patches.sum_patches(
                        sum_rows if row + rows <= k else sum_last_rows,
                        pixels[row * stride :], places, stride, scales, start, e,
                        sums[own:], weights[own:], products[s],
                    )  # fmt: skip
        for m in range(first_map, end_map):
            start, count = slices.filter_slice(m, s, filters.shape)
            own = (m - first_map) * k * run
            slices.slice_filter(unslice_filter, d_flat, start, count, sums[own:])


def deltas_of(products, starts, scale):
    """scale times each survivor's products, summed over the slices, and their sums map by map."""
    deltas = np.empty(starts[-1], products.dtype)
    sums = np.empty(len(starts) - 1, products.dtype)
    pieces = max(1, min(16, products.size // DELTAS_PIECE))
    in_parallel(_deltas_of, pieces, pieces, products, starts, scale, deltas, sums)
    return deltas, sums


@njit(cache=True)
def _deltas_of(piece, pieces, products, starts, scale, deltas, sums):
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
