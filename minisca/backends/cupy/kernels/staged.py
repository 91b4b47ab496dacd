"""Convolution of images of many channels, channel after channel (kernels/staged.cu): how it is cut.

What a block needs of shared memory is computed here; a layer for which it does not suffice, or
whose filters are wider than registers allow, is left to `tiles`.
"""

import functools
from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import selection, strips
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.launching import WARP, kernel, launch, launch_over
from minisca.chunks import ceil_div

FILE = "staged.cu"
THREADS = 256
STAGES = 3
#: Blocks on a multiprocessor at once; half as many in double.
BLOCKS_AT_ONCE = 2
#: How many threads may share their maps; the fewer, the more maps has a block.
GROUP_SIZES = (64, 128, THREADS)
#: How many units a strip may have, and with each, how many maps a thread has at once: as many sums
#: as it has registers for.
MAPS_OF_STRIP = {8: 8, 7: 8, 5: 12, 4: 12}
#: Beyond it, the row of pixels under a strip takes too many registers.
WIDEST_FILTER = 15
#: With fewer maps, most of a block's sums would be of none.
FEWEST_MAPS = 8
PACK_BYTES = 16


class Layout(NamedTuple):
    """How a layer is spread over the threads and the memory of a block (kernels/staged.cu)."""

    strip: int
    group_size: int
    pitch: int
    plane: int
    stage_numbers: int

    @property
    def block_maps(self):
        return block_maps(self.strip, self.group_size)

    def shared_bytes(self, dtype):
        return STAGES * self.stage_numbers * np.dtype(dtype).itemsize


def make_layout(x, filters):
    """The Layout for a layer, or None where it cannot be had."""
    (n, _, height, width), (m, _, k, _) = x.shape, filters.shape
    if k > WIDEST_FILTER or m < FEWEST_MAPS:
        return None
    strip = min(MAPS_OF_STRIP, key=lambda strip: ceil_div(width, strip) * strip)
    of_image = height * ceil_div(width, strip)
    pitch, plane = choose_pitch_and_plane(height, width, strip, k, x.dtype)
    room = machine.platform.shared_limit // max(1, BLOCKS_AT_ONCE * 4 // x.dtype.itemsize)
    for group_size in GROUP_SIZES:
        n_maps = block_maps(strip, group_size)
        if n_maps > m and group_size < THREADS:
            continue
        n_images = min(n, (group_size + of_image - 2) // of_image + 1)
        layout = Layout(strip, group_size, pitch, plane, n_maps * k * k + n_images * plane)
        if layout.shared_bytes(x.dtype) <= room:
            return layout
    return None


def block_maps(strip, group_size):
    """How many maps a block has of which `group_size` threads share theirs."""
    return THREADS // group_size * MAPS_OF_STRIP[strip]


@functools.lru_cache
def choose_pitch_and_plane(height, width, strip, k, dtype):
    """Distance of padded rows, and of images, in shared memory: whole packs an image.

    A warp's strips should start in many banks.
    """
    of_row = ceil_div(width, strip)
    shortest, of_pack = of_row * strip + k - 1, PACK_BYTES // np.dtype(dtype).itemsize
    lanes = np.arange(WARP)
    image, row, column = lanes // of_row // height, lanes // of_row % height, lanes % of_row

    def most(sizes):
        pitch, plane = sizes
        return strips.most_in_a_bank(image * plane + row * pitch + column * strip)

    sizes = []
    for pitch in range(shortest, shortest + 8):
        least = ceil_div((height + k - 1) * pitch, of_pack) * of_pack
        sizes += [(pitch, plane) for plane in range(least, least + strips.BANKS, of_pack)]
    return min(sorted(sizes, key=lambda sizes: sizes[1]), key=most)


def convolve(layout, x, filters, bias, maps):
    """`conv2d` into maps (n, m, h, w)."""
    _run("staged_maps", layout, x, filters, bias, maps)


def convolve_winners(layout, x, filters, bias, values, positions):
    """`encode_winners` into values and positions (n, m)."""
    of_image = x.shape[2] * ceil_div(x.shape[3], layout.strip)
    candidates = empty((*values.shape, of_image), values.dtype)
    candidate_positions = empty(candidates.shape, np.int32)
    _run("staged_winners", layout, x, filters, bias, candidates, candidate_positions)
    selection.keep_largest(candidates, candidate_positions, values, positions)


def macros(layout, k):
    """What the text of the kernels is compiled with."""
    maps = MAPS_OF_STRIP[layout.strip]
    return {"FILTER_WIDTH": k, "STRIP": layout.strip, "GROUP": layout.group_size, "MAPS": maps}


def _run(name, layout, x, filters, bias, *results):
    n, channels, height, width = x.shape
    m, _, k, _ = filters.shape

    def made(name):
        return kernel(FILE, name, x.dtype, **macros(layout, k))

    padded = empty((channels, n, layout.plane), x.dtype)
    sizes = channels, height, width, layout.pitch, layout.plane
    launch_over(made("pad"), padded.size, x, *sizes, padded)
    blocks_of_maps = ceil_div(m, layout.block_maps)
    packed = empty((blocks_of_maps, channels, k * k, layout.block_maps), x.dtype)
    launch_over(made("pack"), packed.size, filters, channels, m, packed)
    n_strips = n * height * ceil_div(width, layout.strip)
    n_blocks = ceil_div(n_strips, layout.group_size) * blocks_of_maps
    sizes = n, channels, height, width, m, layout.pitch, layout.plane, layout.stage_numbers
    args = padded, packed, bias, *sizes, *results
    launch(made(name), n_blocks, THREADS, *args, shared_bytes=layout.shared_bytes(x.dtype))
