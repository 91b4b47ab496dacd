"""Fused convolution of images of few channels: how it is cut up (kernels/direct.cu).

What a block needs of shared memory is computed here; a layer for which it does not suffice, or
whose filters are wider than registers allow, is left to `staged`, and then to `tiles`.
"""

import functools
from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.kernels import strips
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.launching import THREADS, WARP, kernel, launch, threads_for
from minisca.chunks import ceil_div

FILE = "direct.cu"
#: Units of a strip, and maps, that a thread has at once (kernels/direct.cu has its kMaps).
STRIPS = (8, 7, 4)
MAPS = 8
#: Beyond it, the row of pixels under a strip takes too many registers.
WIDEST_FILTER = 15
#: Taps of a filter from which on the sums are better held by tiles of products.
MOST_TAPS = 512
#: What direct_winners has besides: a value (of 8 bytes) and a position of each map in every warp.
STATIC_BYTES = THREADS // WARP * MAPS * (8 + 4)


class Layout(NamedTuple):
    """How a layer is spread over the threads and the memory of a block (kernels/direct.cu)."""

    strip: int
    group_size: int
    groups: int
    image_pitch: int
    shared_bytes: int


def make_layout(x, filters, units_stored=False):
    """The Layout for a layer, or None where it cannot be had.

    `units_stored`: whether the block's maps must lie in shared memory as well.
    """
    (_, channels, height, width), (m, _, k, _) = x.shape, filters.shape
    if k > WIDEST_FILTER or channels * k * k > MOST_TAPS:
        return None
    strip = min(STRIPS, key=lambda strip: ceil_div(width, strip) * strip)
    group_size = threads_for(height * ceil_div(width, strip))
    image_pitch = choose_pitch(width, strip, k)
    for groups in range(min(THREADS // group_size, ceil_div(m, MAPS)), 0, -1):
        n_numbers = channels * k * k * (groups * MAPS + 4)
        n_numbers += channels * (height + k - 1) * image_pitch
        n_numbers += groups * MAPS * height * width * units_stored
        shared_bytes = n_numbers * x.dtype.itemsize
        if shared_bytes + STATIC_BYTES <= machine.platform.shared_limit:
            return Layout(strip, group_size, groups, image_pitch, shared_bytes)
    return None


@functools.cache
def choose_pitch(image_width, strip, k):
    """Distance of padded rows in shared memory: a warp's strips should start in many banks."""
    of_row = ceil_div(image_width, strip)
    shortest, lanes = of_row * strip + k - 1, np.arange(WARP)
    row, column = lanes // of_row, lanes % of_row

    def most(pitch):
        return strips.most_in_a_bank(row * pitch + column * strip)

    return min(range(shortest, shortest + 8), key=most)


def run(name, layout, x, filters, bias, *more):
    """Launch a kernel of kernels/direct.cu; `more` are its further arguments."""
    n, channels, height, width = x.shape
    m, _, k, _ = filters.shape
    made = kernel(FILE, name, x.dtype, FILTER_WIDTH=k, STRIP=layout.strip)
    n_blocks = n * ceil_div(m, layout.groups * MAPS)
    sizes = channels, height, width, m, layout.group_size, layout.image_pitch
    args = x, filters, bias, *sizes, *more
    n_threads = layout.groups * layout.group_size
    launch(made, n_blocks, n_threads, *args, shared_bytes=layout.shared_bytes)
