"""The linear decoder of a code with one slot a map, by slices: kernels/paste.cu."""

from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import slices
from minisca.backends.cupy.runtime import machine
from minisca.backends.cupy.runtime.launching import WARP, launch
from minisca.chunks import ceil_div

FILE = "paste.cu"
#: Threads of a block, at most: kernels/paste.cu has its kThreads.
THREADS = 640
#: Images that a warp pastes into, where filters are small enough; maps that are worth a share.
OWN, MOST_ROUNDS, LEAST_MAPS = 5, 2, 2
INT_BYTES = np.dtype(np.int32).itemsize


class Plan(NamedTuple):
    """Images of a block and of a warp; shares of the maps."""

    images: int
    own: int
    shares: int

    @property
    def n_threads(self):
        return ceil_div(self.images, self.own) * self.shares * WARP

    def shared_bytes(self, layout):
        staged = _packed(self.own * layout.itemsize) + _packed(self.own * INT_BYTES)
        return self.shares * self.images * layout.image_bytes + self.n_threads * staged

    def fits(self, layout):
        limit = machine.platform.shared_limit
        return self.n_threads <= THREADS and self.shared_bytes(layout) <= limit


def _packed(size):
    """Bytes of a structure of that size, which is aligned to 16 if it has as many."""
    return ceil_div(size, 16) * 16 if size > 16 else size


def make_plan(layout, n, m):
    """The `Plan` for n images under m maps.

    The order of the sums depends on it: on the batch, the layer and a block's memory.
    """
    images = ceil_div(n, max(1, slices.BLOCKS // layout.slices))
    own, shares = OWN if layout.rounds <= MOST_ROUNDS else 1, 1
    while images > 1 and not Plan(images, own, 1).fits(layout):
        images = ceil_div(images, 2)
    own = own if images > 1 else 1
    while m >= (shares + 1) * LEAST_MAPS and Plan(images, own, shares + 1).fits(layout):
        shares += 1
    return Plan(images, own, shares)


def paste(layout, values, positions, filters, bias, images):
    """The images (n, c, h, w) of a code."""
    _launch(layout, "paste", values, positions, filters, bias, images)


def paste_and_subtract(layout, values, positions, filters, bias, x, divisor, error):
    """error <- (the images of a code - x) / divisor; returns parts of ||error * divisor||^2."""
    n_blocks = layout.slices * ceil_div(len(x), make_plan(layout, *values.shape).images)
    losses = empty(n_blocks, np.float64)
    more = x, x.dtype.type(divisor), error, losses
    _launch(layout, "paste_and_subtract", values, positions, filters, bias, *more)
    return losses


def _launch(layout, name, values, positions, filters, bias, *more):
    n, m = values.shape
    plan = make_plan(layout, n, m)
    args = values, positions, filters, bias, n, m, plan.images, plan.shares, *layout.sizes, *more
    n_blocks = layout.slices * ceil_div(n, plan.images)
    made = layout.kernel(FILE, name, OWN=plan.own)
    launch(made, n_blocks, plan.n_threads, *args, shared_bytes=plan.shared_bytes(layout))
