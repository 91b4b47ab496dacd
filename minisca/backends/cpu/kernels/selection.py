"""Convolution and selection in one pass: a block of maps is reduced while it is in cache.

Each kernel computes block after block and keeps the survivors of one sparsity rule (paper section
2.1); the maps themselves are overwritten by the next block.
"""

import numpy as np
from numba import njit

from minisca.backends.cpu.kernels import direct, transform
from minisca.backends.cpu.runtime.arrays import aligned_zeros
from minisca.backends.cpu.vectors import lanes


@njit(cache=True)
def convolve_and_keep_winners(piece, x, plan, keep, values, positions):
    """The largest positive unit of every map. keep: the function of `lanes.keep_largest`."""
    height, line = x.shape[2:]
    memory = direct.make_memory(x, plan)
    largest, place = aligned_zeros(plan.block, x.dtype), aligned_zeros(plan.block, np.int32)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        direct.load_image(x[i], plan, memory)
        for b in range(first_block, end_block):
            largest[:] = 0
            place[:] = 0
            for y in range(0, height, plan.lines):
                end_line = min(y + plan.lines, height)
                direct.convolve_lines(b, y, end_line, line, plan, memory)
                n_places = (end_line - y) * line
                lanes.keep_largest(keep, memory.maps, n_places, y * line, largest, place)
            for j in range(min(plan.block, plan.n_maps - b * plan.block)):
                values[i, b * plan.block + j] = largest[j]
                positions[i, b * plan.block + j] = place[j]


@njit(cache=True)
def transform_and_keep_winners(b, values, positions, plan, keep):
    """The same with the convolution in the transform domain."""
    memory = transform.make_memory(plan, len(values))
    largest, place = aligned_zeros(plan.block, values.dtype), aligned_zeros(plan.block, np.int32)
    transform.multiply_spectra(b, len(values), plan, memory)
    for i in range(len(values)):
        largest[:] = 0
        place[:] = 0
        n_places = transform.transform_back(i, b, plan, memory)
        lanes.keep_largest(keep, memory.maps, n_places, 0, largest, place)
        for j in range(min(plan.block, plan.n_maps - b * plan.block)):
            values[i, b * plan.block + j] = largest[j]
            positions[i, b * plan.block + j] = place[j]


@njit(cache=True)
def convolve_and_keep_top_n(piece, x, plan, values, positions):
    """The largest positive units of every map: values and positions (n, m, n_active), all zero."""
    height, line = x.shape[2:]
    memory = direct.make_memory(x, plan)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        direct.load_image(x[i], plan, memory)
        for b in range(first_block, end_block):
            for y in range(0, height, plan.lines):
                end_line = min(y + plan.lines, height)
                direct.convolve_lines(b, y, end_line, line, plan, memory)
                for j in range(min(plan.block, plan.n_maps - b * plan.block)):
                    largest = values[i, b * plan.block + j]
                    found = positions[i, b * plan.block + j]
                    for p in range((end_line - y) * line):
                        value = memory.maps[p * plan.block + j]
                        if value > largest[-1]:
                            slot = _insert(value, largest)
                            _shift_in(y * line + p, slot, found)


@njit(cache=True)
def convolve_and_keep_k_largest(piece, x, plan, values, positions, maps):
    """The largest positive units of every image: values, positions, maps (n, n_active), zero."""
    height, line = x.shape[2:]
    memory = direct.make_memory(x, plan)
    first, end, _, _ = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        direct.load_image(x[i], plan, memory)
        largest, found, owners = values[i], positions[i], maps[i]
        for b in range(plan.blocks):
            direct.convolve_lines(b, 0, height, line, plan, memory)
            for j in range(min(plan.block, plan.n_maps - b * plan.block)):
                for p in range(height * line):
                    value = memory.maps[p * plan.block + j]
                    if value > largest[-1]:
                        slot = _insert(value, largest)
                        _shift_in(p, slot, found)
                        _shift_in(b * plan.block + j, slot, owners)


@njit(cache=True)
def _insert(value, falling):
    """Insert `value` behind its equals in a falling array, whose last element drops out."""
    slot = len(falling) - 1
    while slot > 0 and falling[slot - 1] < value:
        falling[slot] = falling[slot - 1]
        slot -= 1
    falling[slot] = value
    return slot


@njit(cache=True)
def _shift_in(item, slot, items):
    for s in range(len(items) - 1, slot, -1):
        items[s] = items[s - 1]
    items[slot] = item
