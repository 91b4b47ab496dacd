"""How a slice of the channels of some images lies in a block's memory (kernels/slices.cuh)."""

from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.launching import WARP, kernel
from minisca.chunks import ceil_div

#: Blocks that keep a device busy, one on each of its multiprocessors.
BLOCKS = 132
#: Bytes of shared memory of a block by which work is cut into pieces, whatever the device has: the
#: order of every sum follows from the shape alone. Where there is less, a block does its piece in
#: several rounds, and what it has summed so far waits in global memory.
SHARED_BYTES = 227 << 10
#: What every device of compute capability 7.0 and later has at least.
LEAST_SHARED_BYTES = 64 << 10
#: What sums of a block take besides what a launch asks for.
STATIC_BYTES = 512
#: Bytes that all banks of shared memory give at once, and the most that a lane reads at once.
BANKS_BYTES, LANE_BYTES = 128, 16
#: Rounds of 32 taps that a filter may take, and bytes of a lane's taps: registers are few.
MOST_ROUNDS, MOST_TAPS_BYTES = 4, 36
#: What a block needs besides pixels, at most, if it has one image at a time.
STAGED_BYTES = 20 << 10


def shared_limit():
    """Bytes of shared memory that a launch may ask for."""
    return machine.platform.shared_limit - STATIC_BYTES


class Layout(NamedTuple):
    """How slices lie, and what of them a kernel is compiled for."""

    channels: int
    height: int
    width: int
    k: int
    pitch: int
    lane_channels: int
    itemsize: int

    @property
    def sizes(self):
        """As kernels take them."""
        return self[:5]

    @property
    def slices(self):
        return ceil_div(self.channels, self.lane_channels)

    @property
    def rounds(self):
        return ceil_div(self.k**2, WARP)

    @property
    def taps_bytes(self):
        """Of a lane's taps (kernels/slices.cuh)."""
        return self.rounds * self.lane_channels * self.itemsize

    @property
    def image_bytes(self):
        return self.height * self.pitch * self.lane_channels * self.itemsize

    def kernel(self, file, name, **macros):
        dtype = np.dtype(f"f{self.itemsize}")
        return kernel(
            file, name, dtype, LANE_CHANNELS=self.lane_channels, ROUNDS=self.rounds, **macros
        )


def make_layout(shape, k, dtype):
    """The `Layout` of images (n, c, h, w) under filters of width k; None where it cannot be had.

    It has as many channels of a pixel as a lane reads at once, or fewer, so that an image fits into
    the least memory that there is.
    """
    _, channels, height, width = shape
    rounds, itemsize = ceil_div(k * k, WARP), np.dtype(dtype).itemsize
    if rounds > MOST_ROUNDS or machine.platform.shared_limit < LEAST_SHARED_BYTES:
        return None
    most = min(channels, LANE_BYTES // itemsize, MOST_TAPS_BYTES // (rounds * itemsize))
    for lane_channels in range(most, 0, -1):
        pitch = _pitch(width, k, lane_channels, itemsize)
        layout = Layout(channels, height, width, k, pitch, lane_channels, itemsize)
        if layout.image_bytes + STAGED_BYTES <= LEAST_SHARED_BYTES:
            return layout
    return None


def _pitch(width, k, lane_channels, itemsize):
    """Pixels from row to row: those under neighbouring taps lie in different banks."""
    read_at_once = 1 if lane_channels == 3 else lane_channels
    least, lanes_at_once = width + k // 2, BANKS_BYTES // (read_at_once * itemsize)
    return least + (k - least) % lanes_at_once
