"""The survivors of a batch, map by map: in the order in which gradients are summed up."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minisca.backends.cpu.runtime import kernel


def by_map(values, positions, maps):
    """A code, every image's slots by rising map."""
    if maps is not None and (np.diff(maps, axis=1) < 0).any():
        order = np.argsort(maps, axis=1, kind="stable")
        return [np.take_along_axis(array, order, axis=1) for array in (values, positions, maps)]
    return values, positions, maps_of_slots(values, maps)


def maps_of_slots(values, maps):
    """The maps of a code's slots, (n, s) int32; without `maps`, slot j belongs to map j."""
    return _own_maps(values.shape) if maps is None else maps


@lru_cache(8)
def _own_maps(shape):
    maps = np.empty(shape, np.int32)
    maps[:] = np.arange(shape[1])
    return maps


class Survivors(NamedTuple):
    """The units of a batch that are not silent, map by map, within a map by rising image."""

    starts: np.ndarray  # (m + 1,): where each map's survivors begin
    offsets: np.ndarray  # (e,) int64: of their patches in a slice of all images
    values: np.ndarray  # (e,)


@kernel
def sort_by_map(values, positions, maps, n_maps, image_width, lines, strides):
    """The elements of `Survivors`, of what values, positions and maps (n, s) say of some lines.

    lines: the first, and the end. strides: from one image, row and column to the next, in a slice
    of all images, which begins with the first line.
    """
    per_image, per_row, per_column = strides
    low, high = lines[0] * image_width, lines[1] * image_width
    n, n_slots = values.shape
    starts = np.zeros(n_maps + 1, np.int64)
    for i in range(n):
        for slot in range(n_slots):
            if values[i, slot] > 0 and low <= positions[i, slot] < high:
                starts[maps[i, slot] + 1] += 1
    for m in range(n_maps):
        starts[m + 1] += starts[m]
    total = starts[n_maps]
    offsets, kept = np.empty(total, np.int64), np.empty(total, values.dtype)
    free = starts[:-1].copy()
    for i in range(n):
        for slot in range(n_slots):
            if values[i, slot] > 0 and low <= positions[i, slot] < high:
                e = free[maps[i, slot]]
                row, column = divmod(positions[i, slot] - low, image_width)
                offsets[e] = i * per_image + row * per_row + column * per_column
                kept[e] = values[i, slot]
                free[maps[i, slot]] = e + 1
    return starts, offsets, kept
