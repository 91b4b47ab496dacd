"""The survivors of a batch, map by map: in the order in which gradients are summed up."""

from typing import NamedTuple

import numpy as np

from minisca.backends.cpu.runtime import kernel


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
