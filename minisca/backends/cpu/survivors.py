"""Reconstruction and gradients from the survivors alone, over sliced images (see `slices`).

The work is cut so that a block of filters stays in the second-level cache and a slice of an image
in the first while the whole mini-batch passes, and so that every piece owns what it sums up: no
sum depends on the number of threads.
"""

import numpy as np
from numba import njit, prange

from minisca.backends.cpu import direct, patches, slices


@njit(parallel=True, cache=True)
def paste_filters(values, positions, maps, filters, line, block, pasted):
    """Paste the survivors' filters into sliced images; a piece owns one slice of some images.

    Every image's slots stand by rising map.
    """
    n_maps, _, k, _ = filters.shape
    n_slices, n, padded_height, stride = pasted.shape
    per_slice = slices.slice_channels(filters.shape[1])
    run = slices.run_length(k, per_slice)
    pieces = min(n, max(1, 16 // n_slices))
    images = pasted.reshape(n_slices * n, padded_height * stride)
    for piece in prange(n_slices * pieces):
        s = piece // pieces
        first, end = direct.share(piece % pieces, pieces, n)
        sliced = np.empty((block, k, run), filters.dtype)
        flat = sliced.reshape(-1)
        for first_map in range(0, n_maps, block):
            end_map = min(first_map + block, n_maps)
            for m in range(first_map, end_map):
                slices.slice_filter(filters[m], s, sliced[m - first_map])
            for i in range(first, end):
                image = images[s * n + i]
                first_slot = np.searchsorted(maps[i], first_map)
                for slot in range(first_slot, values.shape[1]):
                    m = maps[i, slot]
                    if m >= end_map:
                        break
                    if values[i, slot] > 0:
                        y, x = divmod(positions[i, slot], line)
                        start = y * stride + x * per_slice
                        own = (m - first_map) * k * run
                        patches.add_patch(
                            image, start, stride, flat, own, run, k, run, values[i, slot]
                        )


@njit(cache=True)
def sort_by_map(values, maps, n_maps):
    """Slots that are not silent, by map, then image, then slot: order, and starts (m + 1,)."""
    n, n_slots = values.shape
    starts = np.zeros(n_maps + 1, np.int64)
    for i in range(n):
        for slot in range(n_slots):
            if values[i, slot] > 0:
                starts[maps[i, slot] + 1] += 1
    for m in range(n_maps):
        starts[m + 1] += starts[m]
    order = np.empty(starts[-1], np.int64)
    free = starts[:-1].copy()
    for i in range(n):
        for slot in range(n_slots):
            if values[i, slot] > 0:
                m = maps[i, slot]
                order[free[m]] = i * n_slots + slot
                free[m] += 1
    return order, starts


@njit(parallel=True, cache=True)
def sum_gradients(
    x, error, line, values, positions, order, starts, block,
    decoder_filters, d_encoder_filters, d_encoder_bias, d_decoder_filters,
):  # fmt: skip
    """Gradients, a block of maps at a time, over sliced images x and error.

    First every survivor's delta = 2 <W, e_p>, slice after slice, then what they do to the filters.
    """
    n_maps, channels, k, _ = decoder_filters.shape
    n_slices, n, padded_height, stride = error.shape
    n_slots = values.shape[1]
    per_slice = slices.slice_channels(channels)
    run = slices.run_length(k, per_slice)
    patch = k * run
    xs = x.reshape(n_slices * n, padded_height * stride)
    errors = error.reshape(n_slices * n, padded_height * stride)
    two = values.dtype.type(2)
    for piece in prange((n_maps + block - 1) // block):
        first = piece * block
        end = min(first + block, n_maps)
        sliced = np.empty((block, k, run), values.dtype)
        d_encoder = np.empty((block, k, run), values.dtype)
        d_decoder = np.empty((block, k, run), values.dtype)
        sliced_flat = sliced.reshape(-1)
        d_encoder_flat, d_decoder_flat = d_encoder.reshape(-1), d_decoder.reshape(-1)
        # the block's survivors in image order: one image's slices pass once for all its maps
        mine = order[starts[first] : starts[end]].copy()
        owner = np.empty(len(mine), np.int64)
        for m in range(first, end):
            owner[starts[m] - starts[first] : starts[m + 1] - starts[first]] = m - first
        by_image = np.argsort(mine // n_slots, kind="mergesort")
        mine, owner = mine[by_image], owner[by_image]
        places = np.empty(len(mine), np.int64)
        for e in range(len(mine)):
            y, column = divmod(positions[mine[e] // n_slots, mine[e] % n_slots], line)
            places[e] = y * stride + column * per_slice
        deltas = np.zeros(len(mine), values.dtype)
        for s in range(n_slices):
            for m in range(first, end):
                slices.slice_filter(decoder_filters[m], s, sliced[m - first])
            for e in range(len(mine)):
                deltas[e] += two * patches.correlate(
                    errors[s * n + mine[e] // n_slots], places[e], stride,
                    sliced_flat, owner[e] * patch, k, run,
                )  # fmt: skip
        for s in range(n_slices):
            d_encoder[:] = 0
            d_decoder[:] = 0
            for e in range(len(mine)):
                i, slot = divmod(mine[e], n_slots)
                patches.add_patch(
                    d_decoder_flat, owner[e] * patch, run,
                    errors[s * n + i], places[e], stride, k, run, two * values[i, slot],
                )  # fmt: skip
                patches.add_patch(
                    d_encoder_flat, owner[e] * patch, run,
                    xs[s * n + i], places[e], stride, k, run, deltas[e],
                )  # fmt: skip
            for m in range(first, end):
                slices.unslice_filter(d_encoder[m - first], s, d_encoder_filters[m])
                slices.unslice_filter(d_decoder[m - first], s, d_decoder_filters[m])
        d_encoder_bias[first:end] = 0
        for e in range(len(mine)):
            d_encoder_bias[first + owner[e]] += deltas[e]
