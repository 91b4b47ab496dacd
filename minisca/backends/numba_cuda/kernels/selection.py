"""The largest units, ties to the lowest position, of maps that are stored.

A block has a map, or an image, and looks for the next largest unit, round after round.
"""

import numpy as np
from numba import cuda, int32

from minisca.backends.numba_cuda.device import empty
from minisca.backends.numba_cuda.kernels.reduce import group_winner
from minisca.backends.numba_cuda.runtime.launching import launch, threads_for


@cuda.jit(device=True)
def next_largest(units, after_value, after_position):
    """A thread's largest positive unit behind (after_value, after_position), and its position.

    Units are ordered by falling value, equal ones by rising position. (0, 0) where none is left.
    """
    largest, position = units.dtype.type(0), 0
    for at in range(cuda.threadIdx.x, units.size, cuda.blockDim.x):
        unit = units[at]
        behind = unit < after_value or (unit == after_value and at > after_position)
        if unit > largest and behind:
            largest, position = unit, at
    return largest, position


def keep_top_n(maps, n_active, values, positions):
    """The n_active largest of every map, into values and positions (n, m * n_active)."""
    n, m, height, width = maps.shape
    units = maps.reshape((n * m, height * width))
    kept = (array.reshape((n * m, n_active)) for array in (values, positions))
    _launch(_keep_top_n, n * m, height * width, units, *kept)


def _launch(kernel, n_items, n_units, units, *args):
    """One block an item, with shared memory for a unit and its position of every thread."""
    n_threads = threads_for(n_units)
    n_bytes = n_threads * (units.dtype.itemsize + 4)
    launch(kernel, n_items, n_threads, units, *args, shared_bytes=n_bytes)


@cuda.jit
def _keep_top_n(units, values, positions):
    """One block a map, one round a slot."""
    shared = cuda.shared.array(0, units.dtype)
    shared_where = cuda.shared.array(0, int32)[cuda.blockDim.x * units.itemsize // 4 :]
    for row in range(cuda.blockIdx.x, units.shape[0], cuda.gridDim.x):
        value, position = units.dtype.type(np.inf), -1
        for slot in range(values.shape[1]):
            value, position = next_largest(units[row], value, position)
            value, position = group_winner(value, position, shared, shared_where)
            if cuda.threadIdx.x == 0:
                values[row, slot] = value
                positions[row, slot] = position


def keep_k_largest(maps, values, positions, maps_of_slots):
    """The largest units of every image of `maps` (n, m, h, w), one a slot of values (n, s)."""
    n, m, height, width = maps.shape
    heads, head_positions = empty((n, m), maps.dtype), empty((n, m), np.int32)
    keep_top_n(maps, 1, heads, head_positions)
    args = heads, head_positions, values, positions, maps_of_slots
    units = maps.reshape((n, m, height * width))
    _launch(_keep_k_largest, n, max(m, height * width), units, *args)


@cuda.jit
def _keep_k_largest(units, heads, head_positions, values, positions, maps_of_slots):
    """One block an image: take the largest of the maps' heads, look for that map's next, repeat."""
    shared = cuda.shared.array(0, units.dtype)
    shared_where = cuda.shared.array(0, int32)[cuda.blockDim.x * units.itemsize // 4 :]
    for image in range(cuda.blockIdx.x, units.shape[0], cuda.gridDim.x):
        for slot in range(values.shape[1]):
            value, i = next_largest(heads[image], units.dtype.type(np.inf), -1)
            value, i = group_winner(value, i, shared, shared_where)
            position = head_positions[image, i] if value > 0 else 0
            head, next_position = next_largest(units[image, i], value, position)
            head, next_position = group_winner(head, next_position, shared, shared_where)
            if cuda.threadIdx.x == 0:
                values[image, slot] = value
                positions[image, slot] = position
                maps_of_slots[image, slot] = i
                heads[image, i], head_positions[image, i] = head, next_position
            cuda.syncthreads()  # all see the new head
