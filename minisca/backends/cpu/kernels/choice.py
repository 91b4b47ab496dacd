"""Which convolution a layer's shape gets: direct, or in the transform domain.

And how many images are transformed at a time. All of it is asked before anything is computed, so it
takes no time and no memory, however large the images are.

The environment variable MINISCA_CONVOLUTION ("auto", "direct" or "transform") overrides the choice.
"""

import os

from minisca.backends.cpu.vectors.machine_code import vector_lanes
from minisca.chunks import slices
from minisca.validation import check_choice

#: The most that a transform's matrices may take: they grow with the square of an image's pixels.
BASIS_BYTES = 32 << 20
#: Of the spectra of the images that are transformed at a time, and of a block of their maps.
SPECTRA_BYTES = 96 << 20
MAPS_BYTES = 16 << 20


def choose_convolution(x, filters):
    """ "direct" or "transform" for images x (n, c, h, w) and filters (m, c, k, k).

    The one with less multiplications, of which one of the transform's counts 1.5: its spectra do
    not fit the first caches. Direct too where the transform's matrices would take more than
    `BASIS_BYTES`. Raises ValueError if MINISCA_CONVOLUTION is something else.
    """
    wanted = os.environ.get("MINISCA_CONVOLUTION", "auto")
    check_choice("MINISCA_CONVOLUTION", wanted, ("auto", "direct", "transform"))
    if wanted != "auto":
        return wanted
    n, channels, *size = x.shape
    k = filters.shape[2]
    direct, transformed = costs(n, len(filters), channels, k, size)
    basis_bytes = 4 * count_frequencies(size, k) * size[0] * size[1] * x.itemsize
    fits = basis_bytes <= BASIS_BYTES
    return "transform" if fits and 1.5 * transformed < direct else "direct"


def costs(n, n_maps, channels, k, size):
    """Multiplications of the direct and of the transformed convolution of n images."""
    positions = size[0] * size[1]
    frequencies = count_frequencies(size, k)
    products = 4 * n * n_maps * channels * frequencies
    back = n * n_maps * 2 * frequencies * positions
    forth = channels * (n_maps * k * k + n * positions) * 2 * frequencies
    return n * n_maps * channels * k * k * positions, products + back + forth


def count_frequencies(size, k):
    """How many frequencies the transform has: of each conjugate pair one, see `transform`."""
    height, width = size[0] + k // 2, size[1] + k // 2
    own_conjugates = (2 - height % 2) * (2 - width % 2)
    return (height * width + own_conjugates) // 2


def transformed_at_a_time(x, k):
    """Slices of images x (n, c, h, w), each of as many as the working memory allows."""
    row_bytes, block = 2 * count_frequencies(x.shape[2:], k) * x.itemsize, 2 * vector_lanes(x.dtype)
    most = min(SPECTRA_BYTES // (row_bytes * x.shape[1]), MAPS_BYTES // (row_bytes * block))
    return slices(len(x), max(1, most))
