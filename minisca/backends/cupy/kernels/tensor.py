"""Winners of layers with many channels by the tensor cores: proposed in halves, decided in fp32.

See kernels/halves.cu, kernels/proposals.cu and kernels/decisions.cu. The results are those of the
plain kernels to the bit. Only float32, compute capability 8.0 and later, and layers that fit.
"""

import functools
from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.launching import MOST_COUNTED, THREADS, WARP, kernel, launch
from minisca.chunks import ceil_div

#: Channels that are multiplied before the next ones are brought: what they are padded to.
CHUNK = 64
#: Fewer channels, or maps, than these are mostly padding.
FEWEST_CHANNELS, FEWEST_MAPS = 32, 16
#: Threads of a block that makes halves; an image has no more places than half of it.
HALVING_THREADS = 512
MOST_PLACES = 256
#: Candidates of a map that are listed (kernels/candidates.cuh has its kListed).
LISTED = 12
#: Images of a block of proposals, at most.
MOST_IMAGES = 8
#: Blocks of decisions, as many as keep a device busy.
BLOCKS = 100
#: Static shared memory of the kernels, and some to spare.
STATIC_BYTES = 1024


def has_tensor_cores(dtype):
    """Whether the device multiplies halves as the kernels do, and that serves this dtype."""
    return dtype == np.float32 and machine.platform.compute_capability >= 80


def shared_limit():
    """Dynamic shared memory that a block may have."""
    return machine.platform.shared_limit - STATIC_BYTES


class Tile(NamedTuple):
    """What a block of proposals multiplies (kernels/proposals.cu has these as macros)."""

    warps_down: int
    warps_across: int
    tiles_down: int
    tiles_across: int
    stages: int

    @property
    def n_maps(self):
        return self.warps_down * self.tiles_down * 16

    @property
    def n_places(self):
        return self.warps_across * self.tiles_across * 8

    @property
    def n_threads(self):
        return self.warps_down * self.warps_across * WARP

    def kernel(self):
        """The kernel that proposes, compiled for this tile."""
        macros = {field.upper(): size for field, size in self._asdict().items()}
        return kernel("proposals.cu", "propose", np.float32, **macros)

    def shared_bytes(self, images, n_places, n_pixels):
        """Of a block with so many images of so many places, pixels with the margin."""
        staged = 2 * CHUNK * (self.stages * self.n_maps + 2 * images * n_pixels)
        listed = 16 * self.n_places + self.n_maps * (4 + images * (16 + 4 * LISTED))
        return max(staged + 4 * images * n_places, listed)


TILES = tuple(Tile(2, 4, 4, across, stages) for stages in (4, 3, 2) for across in (8, 7, 4))


class Deciding(NamedTuple):
    """How kernels/decisions.cu is cut up: its macros, warps of a block, shared memory."""

    images: int
    maps: int
    stages: int
    warps: int
    shared_bytes: int

    def kernel(self, name, k, image_width):
        """The kernel of that name, compiled for filters of width k."""
        macros = {"IMAGES": self.images, "MAPS": self.maps, "STAGES": self.stages}
        macros |= {"FILTER_WIDTH": k, "PITCH": image_width + k // 2}
        return kernel("decisions.cu", name, np.float32, **macros)


class Layout(NamedTuple):
    """How a layer is cut up: the tile and images of a block that proposes, and who decides."""

    tile: Tile
    images: int
    shared_bytes: int
    deciding: Deciding


def make_layout(x, filters):
    """The Layout for a layer, or None where the plain kernels must do it."""
    if not has_tensor_cores(x.dtype):
        return None
    return _layout(*x.shape, len(filters), filters.shape[2], shared_limit(), TILES)


@functools.lru_cache(1024)
def _layout(n, channels, height, width, m, k, limit, tiles):
    n_places, padded = height * width, ceil_div(channels, CHUNK) * CHUNK
    if channels < FEWEST_CHANNELS or m < FEWEST_MAPS or n_places > MOST_PLACES or k == 1:
        return None
    if max(n * n_places, m * k * k) * padded > MOST_COUNTED or bytes_of_row(k * k, padded) > limit:
        return None
    n_pixels = (height + k - 1) * (width + k // 2) + k // 2
    deciding = choose_deciding(n, m, k, n_places, n_pixels, limit)
    found = []
    for tile in tiles:
        for images in range(min(tile.n_places // n_places, MOST_IMAGES), 0, -1):
            n_bytes = tile.shared_bytes(images, n_places, n_pixels)
            if n_bytes <= limit and tile.stages <= k * k:
                work = ceil_div(n, images) * (tile.n_places + 16) * ceil_div(m, tile.n_maps)
                found.append((work, -tile.stages, tile, images, n_bytes))
                break
    return Layout(*min(found)[2:], deciding) if found and deciding else None


def choose_deciding(n, m, k, n_places, n_pixels, limit):
    """The `Deciding` with most images, then maps of a block, then stages, or None."""
    most = ceil_div(n, WARP) * WARP
    for images in (128, 64, 32):
        for maps, warps in ((2, 16), (1, 16), (1, 8), (1, 4)):
            n_blocks = m // (maps * warps) * ceil_div(n, images)
            for stages in (4, 3, 2):
                n_numbers = stages * n_pixels * images + warps * maps * ceil_div(k * k, 4) * 4
                n_bytes = 4 * (n_numbers + n_places)
                if images <= most and n_bytes <= limit and (n_blocks >= BLOCKS or warps == 4):
                    return Deciding(images, maps, stages, warps, n_bytes)
    return None


def bytes_of_row(n_taps, padded):
    """Shared memory of a block that halves a filter."""
    return n_taps * (padded + 8) * 2


def halve_filters(filters, channels, n_taps):
    """Filters as halves (m, taps, channels), these padded, and what is known of each, (m, 4)."""
    m, padded = len(filters), ceil_div(channels, CHUNK) * CHUNK
    halves, of_filters = empty((m, n_taps, padded), np.uint16), empty((m, 4), np.float32)
    args = filters, channels, padded, n_taps, halves, of_filters
    halve = kernel("halves.cu", "halve_filters", np.float32)
    launch(halve, m, HALVING_THREADS, *args, shared_bytes=bytes_of_row(n_taps, padded))
    return halves, of_filters


def encode_winners(layout, x, filters, bias, values, positions):
    """`encode_winners` into values and positions (n, m)."""
    candidates = propose(layout, x, filters, bias)
    (n, channels, height, width), (m, _, k, _) = x.shape, filters.shape
    n_columns, size = ceil_div(n, 4) * 4, channels * height * width
    columns = empty((size, n_columns), np.float32)
    n_blocks = ceil_div(n_columns, WARP) * ceil_div(size, WARP)
    make_columns = kernel("halves.cu", "make_columns", np.float32)
    launch(make_columns, n_blocks, THREADS, x, n, size, n_columns, columns)

    how = layout.deciding
    args = columns, filters, bias, candidates, n, n_columns, channels, height, width, m
    n_blocks = ceil_div(n, how.images) * ceil_div(m, how.warps * how.maps)
    decide, crowds = (how.kernel(name, k, width) for name in ("decide", "decide_crowds"))
    results, n_threads = (values, positions), how.warps * WARP
    launch(decide, n_blocks, n_threads, *args, *results, shared_bytes=how.shared_bytes)
    args = x, filters, bias, candidates, n, channels, height, width, m
    launch(crowds, m, THREADS, *args, *results)


def propose(layout, x, filters, bias):
    """candidates (m, n, LISTED): the places that may be a map's winner (kernels/proposals.cu)."""
    (n, channels, height, width), (m, _, k, _) = x.shape, filters.shape
    filter_halves, of_filters = halve_filters(filters, channels, k * k)
    padded, n_places, tile = filter_halves.shape[2], height * width, layout.tile
    image_halves = empty((n, n_places, padded), np.uint16)
    of_patches, exponents = empty((n, n_places, 4), np.float32), empty((n,), np.int32)
    args = x, channels, padded, height, width, k, image_halves, of_patches, exponents
    launch(kernel("halves.cu", "halve_images", np.float32), n, HALVING_THREADS, *args)

    candidates = empty((m, n, LISTED), np.uint16)
    args = filter_halves, of_filters, bias, image_halves, of_patches, exponents
    args += n, padded, height, width, m, k, layout.images, candidates
    n_blocks = ceil_div(n, layout.images) * ceil_div(m, tile.n_maps)
    launch(tile.kernel(), n_blocks, tile.n_threads, *args, shared_bytes=layout.shared_bytes)
    return candidates
