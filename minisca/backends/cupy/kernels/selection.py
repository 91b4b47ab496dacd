"""Launches of the selection among stored units (kernels/selection.cu)."""

import math

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.runtime.launching import kernel, launch, launch_over, threads_for

FILE = "selection.cu"


def keep_top_n(maps, n_active, values, positions):
    """The n_active largest units of every map (n, m, h, w), into values, positions (n, m * s)."""
    n_maps, n_units = math.prod(maps.shape[:2]), math.prod(maps.shape[2:])
    keep = kernel(FILE, "keep_top_n", maps.dtype)
    launch(keep, n_maps, threads_for(n_units), maps, n_units, n_active, values, positions)


def keep_k_largest(maps, values, positions, maps_of_slots):
    """The largest units of every image of `maps` (n, m, h, w), one a slot of values (n, s)."""
    (n, m), n_units = maps.shape[:2], math.prod(maps.shape[2:])
    heads, head_positions = empty((n, m), maps.dtype), empty((n, m), np.int32)
    keep_top_n(maps, 1, heads, head_positions)
    args = maps, heads, head_positions, m, n_units, values.shape[1]
    keep = kernel(FILE, "keep_k_largest", maps.dtype)
    launch(keep, n, threads_for(max(m, n_units)), *args, values, positions, maps_of_slots)


def keep_largest(candidates, candidate_positions, values, positions):
    """Of candidates (n, m, s), the largest of every map, into values, positions (n, m)."""
    keep = kernel(FILE, "keep_largest", values.dtype)
    args = candidates, candidate_positions, candidates.shape[2], values, positions
    launch_over(keep, values.size, *args)
