"""Images and filters cut into slices of channels, channels last: the layout of the sparse passes.

A k x k patch of a slice is k runs of k * C consecutive numbers, C channels a slice, and so is a
filter: pasting, correlating and updating are a few long vector operations. A slice of one image
fits the first-level cache, a slice of a block of filters the second, however deep the layer is.
"""

import numpy as np
from numba import njit, prange

from minisca.backends.cpu.patches import LANES

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


def sliced_shape(n, channels, height, line, k):
    """Shape (slices, n, padded height, padded row) of sliced images; a whole run always fits."""
    per_slice = slice_channels(channels)
    row = (line - 1) * per_slice + run_length(k, per_slice)
    return -(-channels // per_slice), n, height + k - 1, row


def slice_images(images, k):
    """images (n, c, h, w) -> zero-padded sliced images, shape `sliced_shape`."""
    n, channels, height, line = images.shape
    sliced = np.zeros(sliced_shape(n, channels, height, line, k), images.dtype)
    _slice_images(images, k // 2, slice_channels(channels), sliced)
    return sliced


@njit(parallel=True, cache=True)
def _slice_images(images, padding, per_slice, sliced):
    n, channels, height, line = images.shape
    for i in prange(n):
        for c in range(channels):
            out = sliced[c // per_slice, i]
            first = c % per_slice
            for y in range(height):
                for x in range(line):
                    out[y + padding, (x + padding) * per_slice + first] = images[i, c, y, x]


@njit(parallel=True, cache=True)
def unslice_images(pasted, bias, padding, images):
    """Sliced, padded images -> images (n, c, h, w), plus the bias of each channel."""
    n, channels, height, line = images.shape
    per_slice = slice_channels(channels)
    for i in prange(n):
        for c in range(channels):
            source = pasted[c // per_slice, i]
            first = c % per_slice
            for y in range(height):
                for x in range(line):
                    images[i, c, y, x] = (
                        source[y + padding, (x + padding) * per_slice + first] + bias[c]
                    )


@njit(cache=True)
def slice_filter(one_filter, s, sliced):
    """Slice s of a filter (c, k, k) -> sliced (k, run), zero where there is nothing."""
    channels, k, _ = one_filter.shape
    per_slice = slice_channels(channels)
    first = s * per_slice
    sliced[:] = 0
    for c in range(first, min(first + per_slice, channels)):
        for dy in range(k):
            for dx in range(k):
                sliced[dy, dx * per_slice + c - first] = one_filter[c, dy, dx]


@njit(cache=True)
def unslice_filter(sliced, s, one_filter):
    """The inverse of `slice_filter`, for the channels of slice s."""
    channels, k, _ = one_filter.shape
    per_slice = slice_channels(channels)
    first = s * per_slice
    for c in range(first, min(first + per_slice, channels)):
        for dy in range(k):
            for dx in range(k):
                one_filter[c, dy, dx] = sliced[dy, dx * per_slice + c - first]
