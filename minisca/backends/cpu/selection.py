"""Convolution and selection in one pass: a block of maps is reduced while it is in cache.

Each kernel computes block after block with `direct` and keeps the survivors of one sparsity rule
(paper section 2.1); the maps themselves are overwritten by the next block.
"""

import numpy as np
from numba import njit, prange

from minisca.backends.cpu import direct, transform


@njit(cache=True)
def keep_winners(computed, largest, place, values, positions):
    """The largest positive unit of each of a block's maps, lane by lane: values, positions."""
    largest[:] = 0
    place[:] = 0
    for p in range(len(computed)):
        for j in range(len(largest)):
            value = computed[p, j]
            wins = value > largest[j]
            largest[j] = value if wins else largest[j]
            place[j] = p if wins else place[j]
    for j in range(len(values)):
        values[j] = largest[j]
        positions[j] = place[j]


@njit(parallel=True, cache=True)
def convolve_and_keep_winners(x, plan, places, vectors, values, positions):
    size = (x.shape[2], x.shape[3])
    block = plan.bias.shape[1]
    for piece in prange(plan.pieces * plan.groups):
        first, end, first_block, end_block, memory = direct.begin_piece(piece, x, plan, len(places))
        largest, place = np.empty(block, x.dtype), np.empty(block, np.int32)
        for i in range(first, end):
            direct.load_image(x[i], plan, len(places), memory)
            for b in range(first_block, end_block):
                computed = direct.convolve_block(b, size, plan, places, vectors, memory)
                own = direct.maps_of_block(b, plan)
                keep_winners(computed, largest, place, values[i, own], positions[i, own])


@njit(parallel=True, cache=True)
def transform_and_keep_winners(plan, places, vectors, values, positions):
    block = plan.bias.shape[1]
    for b in prange(len(plan.bias)):
        memory = transform.scratch(plan, len(values), places)
        largest, place = np.empty(block, values.dtype), np.empty(block, np.int32)
        transform.multiply_spectra(b, len(values), plan, places, vectors, memory)
        for i in range(len(values)):
            computed = transform.transform_back(i, b, plan, places, vectors, memory)
            own = direct.maps_of_block(b, plan)
            keep_winners(computed, largest, place, values[i, own], positions[i, own])


@njit(parallel=True, cache=True)
def convolve_and_keep_top_n(x, plan, places, vectors, values, positions):
    size = (x.shape[2], x.shape[3])
    block = plan.bias.shape[1]
    for piece in prange(plan.pieces * plan.groups):
        first, end, first_block, end_block, memory = direct.begin_piece(piece, x, plan, len(places))
        for i in range(first, end):
            direct.load_image(x[i], plan, len(places), memory)
            for b in range(first_block, end_block):
                computed = direct.convolve_block(b, size, plan, places, vectors, memory)
                for j in range(min(block, plan.n_maps - b * block)):
                    largest = values[i, b * block + j]
                    found = positions[i, b * block + j]
                    for p in range(len(computed)):
                        value = computed[p, j]
                        if value > largest[-1]:
                            slot = _insert(value, largest)
                            _shift_in(p, slot, found)


@njit(parallel=True, cache=True)
def convolve_and_keep_k_largest(x, plan, places, vectors, values, positions, maps):
    size = (x.shape[2], x.shape[3])
    block = plan.bias.shape[1]
    for piece in prange(plan.pieces * plan.groups):
        first, end, first_block, end_block, memory = direct.begin_piece(piece, x, plan, len(places))
        for i in range(first, end):
            direct.load_image(x[i], plan, len(places), memory)
            for b in range(first_block, end_block):
                computed = direct.convolve_block(b, size, plan, places, vectors, memory)
                for j in range(min(block, plan.n_maps - b * block)):
                    for p in range(len(computed)):
                        value = computed[p, j]
                        if value > values[i, -1]:
                            slot = _insert(value, values[i])
                            _shift_in(p, slot, positions[i])
                            _shift_in(b * block + j, slot, maps[i])


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
