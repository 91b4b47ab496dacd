"""Images and filters cut into slices of channels, channels last: the layout of the sparse passes.

A k x k patch of a slice is k runs of k * C consecutive numbers, C channels a slice, and so is a
filter: pasting, correlating and updating are a few long vector operations. A slice of one image
fits the first-level cache, a slice of a block of filters the second, however deep the layer is.
"""

from functools import cache

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from minisca.backends.cpu.runtime.parallel import in_parallel
from minisca.backends.cpu.runtime.recycler import recycler
from minisca.backends.cpu.vectors.machine_code import POINTER, WORD, compile_function, lower_call
from minisca.backends.cpu.vectors.patches import LANES

#: Most channels in a slice.
MOST_CHANNELS = 16


@njit(cache=True)
def slice_channels(channels):
    """Channels in a slice (the last slice may be padded with zero channels)."""
    slices = (channels + MOST_CHANNELS - 1) // MOST_CHANNELS
    return (channels + slices - 1) // slices


@njit(cache=True)
def run_length(width, channels):
    """Numbers in one row of a sliced filter of `width`: width * channels, padded to LANES."""
    return (width * channels + LANES - 1) // LANES * LANES


def empty_slices(n, channels, height, line, k, dtype):
    """Memory for sliced images (slices, n, padded height, padded row); a whole run always fits."""
    per_slice = slice_channels(channels)
    row = (line - 1) * per_slice + run_length(k, per_slice)
    shape = (-(-channels // per_slice), n, height + k - 1, row)
    return recycler.empty(shape, dtype)


def slice_images(images, errors, k):
    """Images and errors (n, c, h, w) -> both zero-padded and sliced, shaped as `empty_slices`.

    And the errors' sums (n, c) over pixels, in float64.
    """
    sliced = [empty_slices(*array.shape, k, array.dtype) for array in (images, errors)]
    sums = np.empty(errors.shape[:2])
    in_parallel(_slice_image, 2 * len(images), images, errors, k // 2, *sliced, sums)
    return *sliced, sums


@njit(cache=True)
def _slice_image(piece, all_images, errors, padding, sliced_images, sliced_errors, sums):
    n, channels, height, line = errors.shape
    per_slice = slice_channels(channels)
    i, is_error = piece % n, piece >= n
    images, sliced = (errors, sliced_errors) if is_error else (all_images, sliced_images)
    for s in range(len(sliced)):
        sliced[s, i] = 0
    for c in range(channels):
        s, own = divmod(c, per_slice)
        total = 0.0
        for y in range(height):
            pixels = images[i, c, y]
            row = sliced[s, i, y + padding, padding * per_slice + own :: per_slice]
            for x in range(line):
                row[x] = pixels[x]
            if is_error:
                for x in range(line):
                    total += pixels[x]
        if is_error:
            sums[i, c] = total


@njit(cache=True)
def unslice_images(s, first, end, sliced, bias, padding, images):
    """Channels of slice s of some images, plus each channel's bias -> images (n, c, h, w)."""
    _, channels, height, line = images.shape
    per_slice = slice_channels(channels)
    for i in range(first, end):
        for c in range(s * per_slice, min((s + 1) * per_slice, channels)):
            for y in range(height):
                pixels = images[i, c, y]
                own = padding * per_slice + c - s * per_slice
                row = sliced[s, i, y + padding, own::per_slice]
                for x in range(line):
                    pixels[x] = row[x] + bias[c]


@cache
def filter_function(k, per_slice, run, dtype, back=False):
    """Address of the function that `slice_filter` calls; with `back`, the other way."""

    def emit(e, filters, first, channels, sliced):
        def move_channel(c):
            taps = e.at(filters, e.builder.add(first, e.builder.mul(c, WORD(k * k))))
            slots = e.at(sliced, c)
            for dy in range(k):
                for dx in range(k):
                    tap = e.at(taps, dy * k + dx)
                    slot = e.at(slots, dy * run + dx * per_slice)
                    source, target = (slot, tap) if back else (tap, slot)
                    e.builder.store(e.builder.load(source), target)
            return []

        e.loop(channels, [], move_channel)

    kinds = [POINTER, WORD, WORD, POINTER]
    return compile_function("slice_filter", kinds, dtype, 1, emit)


@intrinsic
def slice_filter(typing_context, function, filters, first, channels, sliced):
    """Some channels of a filter, from number `first` of 1-D filters -> k runs; not the padding."""
    signature = types.void(types.int64, filters, types.int64, types.int64, sliced)
    return signature, lower_call


@njit(cache=True)
def filter_slice(m, s, shape):
    """Where slice s of filter m of filters of `shape` (m, c, k, k) begins; its channels."""
    _, channels, k, _ = shape
    per_slice = slice_channels(channels)
    first = s * per_slice
    return (m * channels + first) * k * k, min(per_slice, channels - first)
