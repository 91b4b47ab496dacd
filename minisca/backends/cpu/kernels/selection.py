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
    """The largest positive unit of every map. keep: of `direct.keep_winners`."""
    height, width = x.shape[2:]
    memory = direct.make_memory(x, plan, 0)  # a tile's units are looked at as they are made
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    first_map, end_map = first_block * plan.block, min(end_block * plan.block, plan.n_maps)
    n_kept = (end_block - first_block) * plan.block
    largest, found = aligned_zeros(n_kept, x.dtype), aligned_zeros(n_kept, np.int32)
    for i in range(first, end):
        largest[:] = 0
        found[:] = 0
        silent = False
        for top in range(0, height, plan.lines):
            bottom = min(top + plan.lines, height)
            direct.load_lines(x[i], top, bottom, plan, memory)
            met = silent
            for b in range(first_block, end_block):
                own = b * plan.block - first_map
                kept = (largest, own), (found, own)
                met = direct.keep_winners(b, top, bottom, width, keep, plan, memory, *kept, silent)
            silent = met
        for m in range(first_map, end_map):
            values[i, m] = largest[m - first_map]
            positions[i, m] = found[m - first_map]


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
    memory = direct.make_memory(x, plan, plan.rows)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        for top in range(0, height, plan.lines):
            bottom = min(top + plan.lines, height)
            direct.load_lines(x[i], top, bottom, plan, memory)
            for b in range(first_block, end_block):
                for y in range(top, bottom, plan.rows):
                    end_row = min(y + plan.rows, bottom)
                    direct.convolve_rows(b, y - top, end_row - top, width, plan, memory)
                    for m in range(b * plan.block, min((b + 1) * plan.block, plan.n_maps)):
                        own = min(m, values.shape[1] - 1)
                        kept = values[i, own], positions[i, own], maps[i, own]
                        least = kept[0][-1]
                        for p in range((end_row - y) * width):
                            value = memory.maps[p * plan.block + m - b * plan.block]
                            if value >= least and value > 0:
                                _insert(value, y * width + p, m, kept)
                                least = kept[0][-1]


@kernel
def _insert(value, position, owner, kept):
    """Insert a unit where it belongs, by falling value, then rising map, then rising position.

    kept: values, positions and maps in that order. The last drops out, or the unit itself.
    """
    values, positions, maps = kept
    last = len(values) - 1
    for slot in range(last, -1, -1):
        if value < values[slot]:
            break
        if value == values[slot] and (owner, position) > (maps[slot], positions[slot]):
            break
        if slot < last:
            values[slot + 1], positions[slot + 1] = values[slot], positions[slot]
            maps[slot + 1] = maps[slot]
        values[slot], positions[slot], maps[slot] = value, position, owner
