"""Gradients of dense maps as matrix products over patches, through BLAS."""

import numpy as np

from minisca.backends.cpu.runtime import in_parallel, kernel
from minisca.chunks import chunks


def paste_filters(maps, filters):
    """Every unit pastes its filter, times its value: the transpose of `conv2d` without bias."""
    n, n_maps, height, width = maps.shape
    _, channels, k, _ = filters.shape
    images = np.empty((n, channels, height, width), maps.dtype)
    by_tap = filters.reshape(n_maps, -1).T
    for rows in chunks(n, channels * k * k * height * width * maps.itemsize):
        pasted = by_tap @ maps[rows].reshape(-1, n_maps, height * width)
        pasted = pasted.reshape(-1, channels, k, k, height, width)
        in_parallel(_sum_taps, len(pasted), pasted, images[rows])
    return images


@kernel
def _sum_taps(i, pasted, images):
    """pasted[i, c, dy, dx, y, x] belongs to pixel (y + dy - k//2, x + dx - k//2) of image i."""
    _, channels, k, _, height, width = pasted.shape
    padding = k // 2
    image = images[i]
    image[:] = 0
    for c in range(channels):
        for dy in range(k):
            for dx in range(k):
                for y in range(max(0, padding - dy), min(height, height + padding - dy)):
                    for x in range(max(0, padding - dx), min(width, width + padding - dx)):
                        image[c, y + dy - padding, x + dx - padding] += pasted[i, c, dy, dx, y, x]


def correlate_patches(maps, images, k):
    """The sum of maps[i, j, p] times the patch of image i at p, over images i and positions p."""
    n, n_maps, height, width = maps.shape
    channels = images.shape[1]
    total = np.zeros((n_maps, channels * k * k), maps.dtype)
    patch_bytes = channels * k * k * height * width * maps.itemsize
    for rows in chunks(n, patch_bytes + total.nbytes):
        patches = np.empty((len(maps[rows]), height * width, channels * k * k), maps.dtype)
        in_parallel(_gather_patches, len(patches), images[rows], k, patches)
        products = maps[rows].reshape(-1, n_maps, height * width) @ patches
        total += products.sum(axis=0)
    return total.reshape(n_maps, channels, k, k)


@kernel
def _gather_patches(i, images, k, patches):
    """patches[i, p] is the k x k patch of every channel of image i around position p."""
    _, channels, height, width = images.shape
    padding = k // 2
    for y in range(height):
        for x in range(width):
            patch = patches[i, y * width + x].reshape(channels, k, k)
            patch[:] = 0
            for c in range(channels):
                for dy in range(max(0, padding - y), min(k, height + padding - y)):
                    for dx in range(max(0, padding - x), min(k, width + padding - x)):
                        patch[c, dy, dx] = images[i, c, y + dy - padding, x + dx - padding]
