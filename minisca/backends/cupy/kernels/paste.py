"""The linear decoder of a code with one slot a map, by slices: kernels/paste.cu."""

from typing import NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import slices
from minisca.backends.cupy.runtime.launching import WARP, launch
from minisca.chunks import ceil_div

FILE = "paste.cu"
#: Threads of a block, at most: kernels/paste.cu has its kThreads.
THREADS = 640
#: Images that a warp pastes into, where filters are small enough, and in rounds, which take
#: registers too, as more taps do; maps that are worth a share.
OWN, OWN_IN_ROUNDS, MOST_ROUNDS, LEAST_MAPS = 5, 4, 2, 2
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
        """What a block needs that has copies of all its images for all shares."""
        staged = _packed(self.own * layout.itemsize) + _packed(self.own * INT_BYTES)
        return self.shares * self.images * layout.image_bytes + self.n_threads * staged

    def at_once(self, layout, limit):
        """The `Plan` of what comes at once, where `limit` bytes are all that there is."""
        if self.shared_bytes(layout) <= limit:
            return self
        some = self._replace(own=own_in_rounds(layout, self.own))
        while some.shared_bytes(layout) > limit or some.n_threads > self.n_threads:
            if some.shares > 1:
                some = some._replace(shares=some.shares - 1)
            else:
                some = some._replace(images=ceil_div(some.images, 2))
        return some


def own_in_rounds(layout, own):
    """Images of a warp that has `own` where all come at once."""
    return min(own, OWN_IN_ROUNDS // layout.rounds)


def _packed(size):
    """Bytes of a structure of that size, which is aligned to 16 if it has as many."""
    return ceil_div(size, 16) * 16 if size > 16 else size


def make_plan(layout, n, m):
    """The `Plan` for n images under m maps. The order of the sums depends on it."""
    images = ceil_div(n, max(1, slices.BLOCKS // layout.slices))
    own, shares = OWN if layout.rounds <= MOST_ROUNDS else 1, 1

    def fits(plan):
        return plan.n_threads <= THREADS and plan.shared_bytes(layout) <= slices.SHARED_BYTES

    while images > 1 and not fits(Plan(images, own, 1)):
        images = ceil_div(images, 2)
    own = own if images > 1 else 1
    while m >= (shares + 1) * LEAST_MAPS and fits(Plan(images, own, shares + 1)):
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
    some = plan.at_once(layout, slices.shared_limit())
    cut = plan.images, plan.shares, some.images, some.shares
    args = values, positions, filters, bias, n, m, *cut, *layout.sizes, *more
    n_blocks = layout.slices * ceil_div(n, plan.images)
    made = layout.kernel(FILE, name, OWN=some.own, IN_ROUNDS=int(some != plan))
    launch(made, n_blocks, plan.n_threads, *args, shared_bytes=some.shared_bytes(layout))
