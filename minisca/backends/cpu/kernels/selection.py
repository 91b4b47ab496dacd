"""Convolution and selection in one pass: a block of maps is reduced while it is in cache.

Each kernel computes block after block and keeps the survivors of one sparsity rule (paper section
2.1). The next block overwrites the maps.
"""

import numpy as np

from minisca.backends.cpu.kernels import direct, transform
from minisca.backends.cpu.runtime import aligned_zeros, kernel
from minisca.backends.cpu.vectors.machine_code import call


@kernel
def convolve_and_keep_winners(piece, x, plan, keep, values, positions):
    """The largest positive unit of every map. keep: the `lanes.keep_largest_function`."""
    height, width = x.shape[2:]
    memory = direct.make_memory(x, plan)
    largest, found = aligned_zeros(plan.block, x.dtype), aligned_zeros(plan.block, np.int32)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        direct.load_image(x[i], plan, memory)
        for b in range(first_block, end_block):
            largest[:] = 0
            found[:] = 0
            for y in range(0, height, plan.rows):
                end_row = min(y + plan.rows, height)
                direct.convolve_rows(b, y, end_row, width, plan, memory)
                n_positions = (end_row - y) * width
                call(keep, memory.maps, n_positions, y * width, largest, found)
            for j in range(min(plan.block, plan.n_maps - b * plan.block)):
                values[i, b * plan.block + j] = largest[j]
                positions[i, b * plan.block + j] = found[j]


@kernel
def transform_and_keep_winners(b, values, positions, plan, keep):
    """The same with the convolution in the transform domain."""
    memory = transform.make_memory(plan, len(values))
    largest, found = aligned_zeros(plan.block, values.dtype), aligned_zeros(plan.block, np.int32)
    transform.multiply_spectra(b, len(values), plan, memory)
    for i in range(len(values)):
        largest[:] = 0
        found[:] = 0
        n_positions = transform.transform_back(i, b, plan, memory)
        call(keep, memory.maps, n_positions, 0, largest, found)
        for j in range(min(plan.block, plan.n_maps - b * plan.block)):
            values[i, b * plan.block + j] = largest[j]
            positions[i, b * plan.block + j] = found[j]


@kernel
def convolve_and_keep_several(piece, x, plan, values, positions, maps):
    """The largest positive units of every map, or of every image.

    values, positions: zeros (n, m or 1, n_active). maps: likewise, with the maps of silent slots.
    """
    height, width = x.shape[2:]
    memory = direct.make_memory(x, plan)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        direct.load_image(x[i], plan, memory)
        for b in range(first_block, end_block):
            for y in range(0, height, plan.rows):
                end_row = min(y + plan.rows, height)
                direct.convolve_rows(b, y, end_row, width, plan, memory)
                for m in range(b * plan.block, min((b + 1) * plan.block, plan.n_maps)):
                    own = min(m, values.shape[1] - 1)
                    largest, found, owners = values[i, own], positions[i, own], maps[i, own]
                    for p in range((end_row - y) * width):
                        value = memory.maps[p * plan.block + m - b * plan.block]
                        if value > largest[-1]:
                            slot = _insert(value, largest)
                            _shift_in(y * width + p, slot, found)
                            _shift_in(m, slot, owners)


@kernel
def _insert(value, falling):
    """Insert `value` behind its equals in a falling array, whose last element drops out."""
    slot = len(falling) - 1
    while slot > 0 and falling[slot - 1] < value:
        falling[slot] = falling[slot - 1]
        slot -= 1
    falling[slot] = value
    return slot


@kernel
def _shift_in(item, slot, items):
    for s in range(len(items) - 1, slot, -1):
        items[s] = items[s - 1]
    items[slot] = item
