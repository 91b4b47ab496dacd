"""Fused convolution of images of few channels: how it is cut up (kernels/direct.cu).

What a block needs of shared memory is computed here; a layer for which it does not suffice, or
whose filters are wider than registers allow, is left to `products`.
"""

from typing import NamedTuple

from minisca.backends.cupy import device
from minisca.backends.cupy.device import launch

FILE = "direct.cu"
#: Units of a strip, and maps, that a thread has at once (kernels/direct.cu has its kMaps).
STRIPS = (8, 7, 4)
MAPS = 8
#: Beyond it, a line of pixels under a strip takes too many registers.
WIDEST_FILTER = 15
#: Weights of a filter from which on the sums are better held by tiles of products.
MOST_WEIGHTS = 512
BANKS = 32
#: What direct_winners has besides: a value (of 8 bytes) and a place of each map in every warp.
STATIC_BYTES = device.THREADS // device.WARP * MAPS * (8 + 4)


class Plan(NamedTuple):
    """How a layer is cut up: see the arguments of kernels/direct.cu."""

    strip: int
    lanes: int
    groups: int
    image_pitch: int
    shared_bytes: int


def make_plan(x, filters, units_stored=False):
    """The Plan for a layer, or None where it cannot be had.

    `units_stored`: whether the block's maps must lie in shared memory as well.
    """
    (_, channels, height, width), (m, _, k, _) = x.shape, filters.shape
    if k > WIDEST_FILTER or channels * k * k > MOST_WEIGHTS:
        return None
    strip = min(STRIPS, key=lambda strip: -(-width // strip) * strip)
    lanes = device.threads_for(height * -(-width // strip))
    image_pitch = choose_pitch(width, strip, k)
    for groups in range(min(device.THREADS // lanes, -(-m // MAPS)), 0, -1):
        n_numbers = channels * k * k * (groups * MAPS + 4)
        n_numbers += channels * (height + k - 1) * image_pitch
        n_numbers += groups * MAPS * height * width * units_stored
        shared_bytes = n_numbers * x.dtype.itemsize
        if shared_bytes + STATIC_BYTES <= device.platform.shared_limit:
            return Plan(strip, lanes, groups, image_pitch, shared_bytes)
    return None


def choose_pitch(width, strip, k):
    """Distance of padded lines in shared memory: a warp's strips should start in many banks."""
    of_line = -(-width // strip)
    shortest = of_line * strip + k - 1

    def most_in_a_bank(pitch):
        banks = [(lane // of_line * pitch + lane % of_line * strip) % BANKS for lane in range(32)]
        return max(banks.count(bank) for bank in banks)

    return min(range(shortest, shortest + 8), key=most_in_a_bank)


def run(name, plan, x, filters, bias, *more):
    """Launch a kernel of kernels/direct.cu; `more` are its further arguments."""
    n, channels, height, width = x.shape
    m, _, k, _ = filters.shape
    sizes = (channels, height, width, m, plan.lanes, plan.image_pitch)
    launch(
        FILE, name, device.options(x.dtype, FILTER_WIDTH=k, STRIP=plan.strip),
        n * -(-m // (plan.groups * MAPS)), plan.groups * plan.lanes,
        (x, filters, bias, *device.ints(*sizes), *more),
        shared_bytes=plan.shared_bytes,
    )  # fmt: skip
