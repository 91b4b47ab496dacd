"""Gradients of dense maps as matrix products over patches, through BLAS."""

import numpy as np

from minisca.backends.cpu.runtime import in_parallel, kernel
from minisca.chunks import chunks, slices

#: An image whose patches take more is worked at some lines at a time.
MOST_BYTES = 64 << 20


def paste_filters(maps, filters):
    """Every unit pastes its filter, times its value: the transpose of `conv2d` without bias."""
    n, n_maps, height, width = maps.shape
    _, channels, k, _ = filters.shape
    images = np.empty((n, channels, height, width), maps.dtype)
    by_tap = filters.reshape(n_maps, -1).T
    line_bytes = channels * k * k * width * maps.itemsize
    for rows, lines, positions in _parts(maps.shape, line_bytes):
        pasted = by_tap @ maps[rows].reshape(-1, n_maps, height * width)[:, :, positions]
        pasted = pasted.reshape(-1, channels, k, k, lines.stop - lines.start, width)
        in_parallel(_sum_taps, len(pasted) * channels, pasted, lines.start, images[rows])
    return images


def _parts(shape, line_bytes, bytes_an_image=0):
    """What of maps (n, m, h, w) is worked at at a time: [(images, lines, positions), ...], slices.

    Some images, or some lines of one where a line's `line_bytes` make an image too large.
    """
    n, _, height, width = shape
    image_bytes = line_bytes * height + bytes_an_image
    lines = [slice(0, height)]
    if image_bytes > MOST_BYTES:
        lines = slices(height, max(1, MOST_BYTES // line_bytes))
    return [
        (rows, own, slice(own.start * width, own.stop * width))
        for rows in chunks(n, image_bytes)
        for own in lines
    ]


@kernel
def _sum_taps(piece, pasted, first_line, images):
    """pasted[i, c, dy, dx, y, x] belongs to pixel (y + dy - k//2, x + dx - k//2) of image i.

    Its line y = 0 is `first_line` of the maps; what the lines before gave is there already.
    """
    _, channels, k, _, n_lines, width = pasted.shape
    i, c = divmod(piece, channels)
    padding, height = k // 2, images.shape[2]
    image = images[i, c]
    if first_line == 0:
        image[:] = 0
    for dy in range(k):
        to = first_line + dy - padding  # the line of the image that line 0 belongs to
        for dx in range(k):
            for y in range(max(0, -to), min(n_lines, height - to)):
                for x in range(max(0, padding - dx), min(width, width + padding - dx)):
                    image[y + to, x + dx - padding] += pasted[i, c, dy, dx, y, x]


def correlate_patches(maps, images, k):
    """The sum of maps[i, j, p] times the patch of image i at p, over images i and positions p."""
    (n_maps, height, width), channels = maps.shape[1:], images.shape[1]
    total = np.zeros((n_maps, channels * k * k), maps.dtype)
    line_bytes = channels * k * k * width * maps.itemsize
    for rows, lines, positions in _parts(maps.shape, line_bytes, total.nbytes):
        own = maps[rows].reshape(-1, n_maps, height * width)[:, :, positions]
        patches = np.empty((len(own), own.shape[2], channels * k * k), maps.dtype)
        in_parallel(_gather_patches, len(patches), images[rows], k, lines.start, patches)
        total += (own @ patches).sum(axis=0)
    return total.reshape(n_maps, channels, k, k)


@kernel
def _gather_patches(i, images, k, first_line, patches):
    """patches[i, p] is the k x k patch of every channel of image i around position p.

    Positions are counted from `first_line` on.
    """
    _, channels, height, width = images.shape
    padding = k // 2
    for p in range(patches.shape[1]):
        y, x = first_line + p // width, p % width
        patch = patches[i, p].reshape(channels, k, k)
        patch[:] = 0
        for c in range(channels):
            for dy in range(max(0, padding - y), min(k, height + padding - y)):
                for dx in range(max(0, padding - x), min(k, width + padding - x)):
                    patch[c, dy, dx] = images[i, c, y + dy - padding, x + dx - padding]
