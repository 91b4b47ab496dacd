"""Images and filters cut into slices of channels, channels last: the layout of the sparse passes.

In a slice of C channels, a row of a k x k patch is one run of k * C neighbouring numbers. So is a
row of a filter. Pasting and summing patches are then a few long vector operations. However deep the
layer, a slice of one image fits the first-level cache, a slice of a block of filters the second.
"""

from functools import lru_cache

import numpy as np

from minisca import chunks
from minisca.backends.cpu.runtime import ceil_div, in_parallel, kernel, recycler
from minisca.backends.cpu.vectors.machine_code import call
from minisca.backends.cpu.vectors.patches import LEAST_LANES

#: Most channels in a slice.
MOST_CHANNELS = 16
#: Images that are sliced take at most so much memory: some images, or some lines of a larger one.
SLICED_BYTES = 48 << 20


@kernel
def slice_channels(channels):
    """Channels in a slice (the last slice may be padded with zero channels)."""
    return ceil_div(channels, ceil_div(channels, MOST_CHANNELS))


@kernel
def run_length(filter_width, per_slice):
    """Numbers in one row of a sliced filter: its width times the channels, padded."""
    return ceil_div(filter_width * per_slice, LEAST_LANES) * LEAST_LANES


def empty_slices(n, channels, height, width, k, dtype):
    """Memory for sliced images (slices, n, padded height, padded row); a whole run always fits."""
    per_slice = slice_channels(channels)
    row = (width - 1) * per_slice + run_length(k, per_slice)
    return recycler.empty((ceil_div(channels, per_slice), n, height + k - 1, row), dtype)


def parts(shape, k, dtype, margin=0):
    """What of images (n, c, h, w) is sliced at a time: [(images, lines), ...], both slices.

    margin: how many more lines are sliced above, and below. Lines are fewer than h only where one
    image, sliced, takes more than `SLICED_BYTES`.
    """
    return _parts(shape, k, np.dtype(dtype).itemsize, margin, SLICED_BYTES)


@lru_cache(64)
def _parts(shape, k, item_bytes, margin, limit):
    n, channels, height, width = shape
    per_slice = slice_channels(channels)
    row = (width - 1) * per_slice + run_length(k, per_slice)
    line = ceil_div(channels, per_slice) * row * item_bytes
    image = line * (height + k - 1)
    if image <= limit:
        return [(rows, slice(0, height)) for rows in chunks.chunks(n, image, limit)]
    at_a_time = chunks.slices(height, max(1, limit // line - (k - 1) - 2 * margin))
    return [(slice(i, i + 1), lines) for i in range(n) for lines in at_a_time]


def slice_images(images, errors, k, lines):
    """Lines of images and errors (n, c, h, w), padded and sliced, shaped as `empty_slices`.

    Padded with k // 2 lines and columns on every side: the image's, and zeros beyond its edge.
    And the errors' sums (n, c) over the lines' pixels, in float64.
    """
    n, channels, _, width = images.shape
    shape = n, channels, lines.stop - lines.start, width
    sliced = [empty_slices(*shape, k, images.dtype) for _ in range(2)]
    sums, ends = np.empty((n, channels)), (lines.start, lines.stop)
    in_parallel(_slice_four, 2 * ceil_div(n, 4), images, errors, k // 2, ends, *sliced, sums)
    return *sliced, sums


# Columns are unsigned below. Of a signed index Numba asks whether it counts from the end, and a
# loop that asks does not become vectors. A view of each line would count references, line by line.


@kernel
def _slice_four(piece, all_images, all_errors, padding, lines, sliced_images, sliced_errors, sums):
    """Four images, or the errors of four, in turn: errors, which are summed up, take longer."""
    _, channels, height, width = all_errors.shape
    top, bottom = lines
    per_slice, columns = slice_channels(channels), np.uintp(width)
    apart = np.uintp(per_slice)
    first, last, is_error = piece // 2 * 4, len(sums) - 1, piece % 2 == 1
    images, sliced = (all_errors, sliced_errors) if is_error else (all_images, sliced_images)
    for i in range(first, min(first + 4, last + 1)):
        for s in range(len(sliced)):
            sliced[s, i] = 0
        for c in range(channels):
            s, own = divmod(c, per_slice)
            start = np.uintp(padding * per_slice + own)
            for y in range(max(0, top - padding), min(height, bottom + padding)):
                line = y - top + padding
                if per_slice == 1:
                    for x in range(columns):
                        sliced[s, i, line, start + x] = images[i, c, y, x]
                else:
                    for x in range(columns):
                        sliced[s, i, line, start + x * apart] = images[i, c, y, x]
    if is_error:
        second, third, fourth = min(first + 1, last), min(first + 2, last), min(first + 3, last)
        for c in range(channels):
            sum_1, sum_2, sum_3, sum_4 = 0.0, 0.0, 0.0, 0.0  # in turn: none waits for another
            for y in range(top, bottom):
                for x in range(columns):
                    sum_1 += images[first, c, y, x]
                    sum_2 += images[second, c, y, x]
                    sum_3 += images[third, c, y, x]
                    sum_4 += images[fourth, c, y, x]
            sums[first, c], sums[second, c] = sum_1, sum_2
            sums[third, c], sums[fourth, c] = sum_3, sum_4


@kernel
def unslice_images(s, first, end, sliced, first_line, lines, bias, padding, images):
    """Channels of slice s of some images, plus each channel's bias, into images (n, c, h, w).

    lines: which of the images' lines are filled, first and end; sliced begins with `first_line`.
    """
    _, channels, _, width = images.shape
    per_slice, columns = slice_channels(channels), np.uintp(width)
    apart = np.uintp(per_slice)
    for i in range(first, end):
        for c in range(s * per_slice, min((s + 1) * per_slice, channels)):
            start, added = np.uintp(padding * per_slice + c - s * per_slice), bias[c]
            for y in range(lines[0], lines[1]):
                line = y - first_line + padding
                if per_slice == 1:
                    for x in range(columns):
                        images[i, c, y, x] = sliced[s, i, line, start + x] + added
                else:
                    for x in range(columns):
                        images[i, c, y, x] = sliced[s, i, line, start + x * apart] + added


@kernel
def move_filters(function, filters, s, first, end, sliced):
    """Slice s of filters `first` to `end` into `sliced`, or back: by a `patches.slice_function`."""
    _, channels, k, _ = filters.shape
    per_slice = slice_channels(channels)
    count = min(per_slice, channels - s * per_slice)
    for m in range(first, end):
        taps = filters, (m * channels + s * per_slice) * k * k
        call(function, taps, count, (sliced, (m - first) * k * run_length(k, per_slice)))
