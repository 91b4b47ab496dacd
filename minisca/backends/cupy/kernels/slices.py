"""How a slice of the channels of some images lies in a block's memory (kernels/slices.cuh)."""

from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.launching import WARP, kernel
from minisca.chunks import ceil_div

#: Blocks that keep a device busy, one on each of its multiprocessors.
BLOCKS = 132
#: Bytes that all banks of shared memory give at once, and the most that a lane reads at once.
BANKS_BYTES, LANE_BYTES = 128, 16
#: Rounds of 32 taps that a filter may take, and those with a whole pixel: registers are few.
MOST_ROUNDS, MOST_WIDE_ROUNDS = 4, 3
#: What a block needs besides pixels, at most.
STAGED_BYTES = 28 << 10


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
    def image_bytes(self):
        return self.height * self.pitch * self.lane_channels * self.itemsize

    def kernel(self, file, name, **macros):
        dtype = np.dtype(f"f{self.itemsize}")
        return kernel(
            file, name, dtype, LANE_CHANNELS=self.lane_channels, ROUNDS=self.rounds, **macros
        )


def make_layout(shape, k, dtype):
    """The `Layout` of images (n, c, h, w) under filters of width k; None where it cannot be had."""
    _, channels, height, width = shape
    itemsize = np.dtype(dtype).itemsize
    lane_bytes = LANE_BYTES if ceil_div(k * k, WARP) <= MOST_WIDE_ROUNDS else LANE_BYTES // 2
    lane_channels = min(lane_bytes // itemsize, channels)
    read_at_once = 1 if lane_channels == 3 else lane_channels
    least, lanes_at_once = width + k // 2, BANKS_BYTES // (read_at_once * itemsize)
    pitch = least + (k - least) % lanes_at_once
    layout = Layout(channels, height, width, k, pitch, lane_channels, itemsize)
    fits = 2 * layout.image_bytes + STAGED_BYTES <= machine.platform.shared_limit
    return layout if fits and layout.rounds <= MOST_ROUNDS else None
