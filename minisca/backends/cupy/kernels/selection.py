"""Launches of the selection among stored units (kernels/selection.cu)."""

import numpy as np

from minisca.backends.cupy import device
from minisca.backends.cupy.device import empty, launch

FILE = "selection.cu"


def keep_top_n(maps, n_active, values, positions):
    """The n_active largest units of every map (n, m, h, w), into values, positions (n, m * s)."""
    n, m, height, width = maps.shape
    launch(
        FILE, "keep_top_n", device.options(maps.dtype), n * m, device.threads_for(height * width),
        (maps, *device.ints(height * width, n_active), values, positions),
    )  # fmt: skip


def keep_k_largest(maps, values, positions, maps_of_slots):
    """The largest units of every image of `maps` (n, m, h, w), one a slot of values (n, s)."""
    n, m, height, width = maps.shape
    heads, places = empty((n, m), maps.dtype), empty((n, m), np.int32)
    keep_top_n(maps, 1, heads, places)
    sizes = (m, height * width, values.shape[1])
    launch(
        FILE, "keep_k_largest", device.options(maps.dtype), n,
        device.threads_for(max(m, height * width)),
        (maps, heads, places, *device.ints(*sizes), values, positions, maps_of_slots),
    )  # fmt: skip
