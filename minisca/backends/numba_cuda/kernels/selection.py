"""Selection of the largest units, ties to the lowest place: fused with the convolution, and not.

The winners are found where the maps are computed (`tile`); the other rules of paper section 2.1
look for the next largest unit, round after round, in maps that are stored for a chunk of images.
"""

import numpy as np
from numba import cuda, int32

from minisca.backends.numba_cuda import device
from minisca.backends.numba_cuda.device import empty, launch
from minisca.backends.numba_cuda.kernels import tile
from minisca.backends.numba_cuda.kernels.reduce import block_winner, block_winners
from minisca.backends.numba_cuda.kernels.tile import MAPS, PLACES


@cuda.jit
def convolve_and_keep_winners(x, taps, k, bias, values, positions):
    """One block an image and MAPS maps; the maps exist in the threads' sums only."""
    (n, n_maps), n_places = values.shape, x.shape[2] * x.shape[3]
    n_groups = (n_maps + MAPS - 1) // MAPS
    shared = cuda.shared.array(0, x.dtype)
    sums = cuda.local.array((MAPS, PLACES), x.dtype)
    largest = cuda.local.array(MAPS, x.dtype)
    where = cuda.local.array(MAPS, np.int32)
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    shared_where = cuda.shared.array(0, int32)[MAPS * n_threads * x.itemsize // 4 :]
    for item in range(cuda.blockIdx.x, n * n_groups, cuda.gridDim.x):
        image, first_map = item // n_groups, item % n_groups * MAPS
        for j in range(MAPS):
            largest[j], where[j] = 0, 0  # a map without a positive unit is silent
        for first_place in range(0, n_places, n_threads * PLACES):
            tile.convolve(x, image, taps, k, bias, first_map, first_place, shared, sums)
            for p in range(PLACES):
                place = first_place + thread + p * n_threads
                for j in range(MAPS):
                    if place < n_places and sums[j, p] > largest[j]:
                        largest[j], where[j] = sums[j, p], place
        cuda.syncthreads()  # the tile's memory is free
        for j in range(MAPS):
            shared[j * n_threads + thread] = largest[j]
            shared_where[j * n_threads + thread] = where[j]
        block_winners(shared, shared_where, MAPS)
        for j in range(thread, min(MAPS, n_maps - first_map), n_threads):
            values[image, first_map + j] = shared[j * n_threads]
            positions[image, first_map + j] = shared_where[j * n_threads]


@cuda.jit(device=True)
def next_largest(units, after_value, after_place):
    """A thread's largest positive unit of those behind (after_value, after_place), and its place.

    Units are ordered by falling value, equal ones by rising place. (0, 0) where none is left.
    """
    largest, place = units.dtype.type(0), 0
    for at in range(cuda.threadIdx.x, units.size, cuda.blockDim.x):
        unit = units[at]
        behind = unit < after_value or (unit == after_value and at > after_place)
        if unit > largest and behind:
            largest, place = unit, at
    return largest, place


def keep_winners(maps, values, positions):
    """The largest unit of every map of `maps` (n, m, h, w), into values and positions (n, m)."""
    keep_top_n(maps, 1, values, positions)


def keep_top_n(maps, n_active, values, positions):
    """The n_active largest of every map, into values and positions (n, m * n_active)."""
    n, m, height, width = maps.shape
    n_threads = device.threads_for(height * width)
    launch(
        _keep_top_n, n * m, n_threads, n_threads * (maps.dtype.itemsize + 4),
        maps.reshape((n * m, height * width)),
        values.reshape((n * m, n_active)), positions.reshape((n * m, n_active)),
    )  # fmt: skip


@cuda.jit
def _keep_top_n(units, values, positions):
    """One block a map, one round a slot."""
    shared = cuda.shared.array(0, units.dtype)
    shared_where = cuda.shared.array(0, int32)[cuda.blockDim.x * units.itemsize // 4 :]
    for row in range(cuda.blockIdx.x, units.shape[0], cuda.gridDim.x):
        value, place = units.dtype.type(np.inf), -1
        for slot in range(values.shape[1]):
            value, place = next_largest(units[row], value, place)
            value, place = block_winner(value, place, shared, shared_where)
            if cuda.threadIdx.x == 0:
                values[row, slot] = value
                positions[row, slot] = place


def keep_k_largest(maps, values, positions, maps_of_slots):
    """The largest units of every image of `maps` (n, m, h, w), one a slot of values (n, s)."""
    n, m, height, width = maps.shape
    heads, places = empty((n, m), maps.dtype), empty((n, m), np.int32)
    keep_winners(maps, heads, places)
    n_threads = device.threads_for(max(m, height * width))
    launch(
        _keep_k_largest, n, n_threads, n_threads * (maps.dtype.itemsize + 4),
        maps.reshape((n, m, height * width)), heads, places, values, positions, maps_of_slots,
    )  # fmt: skip


@cuda.jit
def _keep_k_largest(units, heads, places, values, positions, maps_of_slots):
    """One block an image: take the largest of the maps' heads, look for that map's next, repeat."""
    shared = cuda.shared.array(0, units.dtype)
    shared_where = cuda.shared.array(0, int32)[cuda.blockDim.x * units.itemsize // 4 :]
    for image in range(cuda.blockIdx.x, units.shape[0], cuda.gridDim.x):
        for slot in range(values.shape[1]):
            value, i = next_largest(heads[image], units.dtype.type(np.inf), -1)
            value, i = block_winner(value, i, shared, shared_where)
            place = places[image, i] if value > 0 else 0
            head, next_place = next_largest(units[image, i], value, place)
            head, next_place = block_winner(head, next_place, shared, shared_where)
            if cuda.threadIdx.x == 0:
                values[image, slot] = value
                positions[image, slot] = place
                maps_of_slots[image, slot] = i
                heads[image, i], places[image, i] = head, next_place
            cuda.syncthreads()  # all see the new head
