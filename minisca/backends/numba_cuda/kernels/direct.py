"""Fused convolution: nothing but winners, or pooled maps, reaches global memory (or the maps).

A block has one image, and groups of threads: those of the same threadIdx.y. For one channel at a
time the zero-padded image, and the taps of MAPS filters of every group, lie in shared memory; a
thread holds the sums of UNITS units of each of its group's maps, so that every number read from
there is used several times.
"""

from typing import NamedTuple

import numpy as np
from numba import cuda, int32, uint32
from numba.cuda.core import config

from minisca.backends.numba_cuda.kernels.reduce import group_winners
from minisca.backends.numba_cuda.runtime import launching
from minisca.backends.numba_cuda.runtime.launching import launch
from minisca.chunks import ceil_div

#: Maps that a group of threads convolves at once.
MAPS = 8
#: Units of every map that a thread holds at once, one group's size apart.
UNITS = 4
#: A group has a multiple of it: half a warp, whose threads read a weight together.
LANES = 16
#: Bytes that shared memory is aligned to, for reads of several numbers; the simulator knows none.
ALIGNMENT = None if config.ENABLE_CUDASIM else 16


class Layout(NamedTuple):
    """How a layer is cut up: threads of a group, groups of a block, its bytes of shared memory."""

    group_size: int
    n_groups: int
    n_bytes: int


def make_layout(x, filters, units_stored=False):
    """The Layout with most groups, or None where shared memory does not hold those of one.

    units_stored: whether the block's maps lie in shared memory as well.
    """
    (_, _, height, width), (n_maps, _, k, _) = x.shape, filters.shape
    n_threads = ceil_div(height * width, UNITS)
    group_size = min(launching.THREADS, ceil_div(n_threads, LANES) * LANES)
    of_map = k * k + height * width * units_stored
    for n_groups in range(min(launching.THREADS // group_size, ceil_div(n_maps, MAPS)), 0, -1):
        n_numbers = (height + k - 1) * (width + k - 1) + n_groups * MAPS * of_map
        n_candidates = n_groups * MAPS * group_size  # values and positions, in the same memory
        n_bytes = max(n_numbers * x.dtype.itemsize, n_candidates * (x.dtype.itemsize + 4))
        if n_bytes <= launching.SHARED_BYTES:
            return Layout(group_size, n_groups, n_bytes)
    return None


def run(kernel, layout, x, filters, bias, *more):
    """Launch one of the kernels below; `more` are its further arguments."""
    n_maps, channels, k, _ = filters.shape
    group_size, n_groups, n_bytes = layout
    n_shares, taps = ceil_div(n_maps, n_groups * MAPS), filters.reshape((n_maps, channels, k * k))
    args = x, taps, k, bias, n_shares, *more
    launch(kernel, x.shape[0] * n_shares, (group_size, n_groups), *args, shared_bytes=n_bytes)


@cuda.jit(device=True)
def convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums):
    """sums[j, p] <- unit first_position + member + p * group_size of map first_map + j, with bias.

    taps (m, c, k * k); the whole block calls it, every group with a first map of its own. Where
    there is no such unit or map, the sum means nothing. The inner loops index with unsigned
    numbers: a signed index might count from the end, and is checked.
    """
    _, channels, height, width = x.shape
    pitch, n_threads = width + k - 1, cuda.blockDim.x * cuda.blockDim.y
    thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    corner, step = (thread // pitch, thread % pitch), (n_threads // pitch, n_threads % pitch)
    corners = cuda.local.array(UNITS, uint32)
    pixels = cuda.local.array(UNITS, x.dtype)
    for p in range(UNITS):
        position = first_position + cuda.threadIdx.x + p * cuda.blockDim.x
        position = min(position, height * width - 1)
        corners[p] = position // width * pitch + position % width
    for j in range(MAPS):
        start = bias[min(first_map + j, bias.size - 1)]
        for p in range(UNITS):
            sums[j, p] = start
    for channel in range(channels):
        cuda.syncthreads()  # all have done with the channel before
        padded = shared[cuda.blockDim.y * MAPS * k * k :]
        load_channel(x, image, channel, k, corner, step, padded)
        load_taps(taps, first_map, channel, shared)
        cuda.syncthreads()
        tap = cuda.threadIdx.y * k * k
        for dy in range(k):
            for dx in range(k):
                # a multiple of MAPS, in aligned memory: weights are read several at a time
                weights = np.uint32(tap * MAPS)
                seen = np.uint32(cuda.blockDim.y * MAPS * k * k + dy * pitch + dx)
                for p in range(UNITS):
                    pixels[p] = shared[seen + corners[p]]
                for j in range(MAPS):
                    for p in range(UNITS):
                        sums[j, p] += shared[weights + np.uint32(j)] * pixels[p]
                tap += 1


@cuda.jit(device=True)
def load_channel(x, image, channel, k, corner, step, shared):
    """One channel of an image, with its k // 2 zeros on every side, into shared memory.

    corner, step: a thread's first row and column, and how far it is to its next: no divisions.
    """
    height, width, pitch = x.shape[2], x.shape[3], x.shape[3] + k - 1
    (row, column), (rows, columns) = corner, step
    thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    for i in range(thread, (height + k - 1) * pitch, cuda.blockDim.x * cuda.blockDim.y):
        y, x_ = row - k // 2, column - k // 2
        inside = 0 <= y < height and 0 <= x_ < width
        shared[i] = x[image, channel, y, x_] if inside else x.dtype.type(0)
        row += rows
        column += columns
        if column >= pitch:
            column -= pitch
            row += 1


@cuda.jit(device=True)
def load_taps(taps, first_map, channel, shared):
    """One channel of the group's filters, tap by tap, all MAPS maps of a tap together."""
    n_maps, _, n_taps = taps.shape
    own = cuda.threadIdx.y * MAPS * n_taps
    for i in range(cuda.threadIdx.x, MAPS * n_taps, cuda.blockDim.x):
        tap, j = i // MAPS, i % MAPS
        shared[own + i] = taps[min(first_map + j, n_maps - 1), channel, tap]


@cuda.jit(device=True)
def own_share(item, n_shares):
    """The image of the block, and the first map of the thread's group."""
    first_group = item % n_shares * cuda.blockDim.y
    return item // n_shares, (first_group + cuda.threadIdx.y) * MAPS


@cuda.jit
def direct_maps(x, taps, k, bias, n_shares, maps):
    """One block an image and a share of its maps."""
    n, n_maps, height, width = maps.shape
    shared = cuda.shared.array(0, x.dtype, ALIGNMENT)
    sums = cuda.local.array((MAPS, UNITS), x.dtype)
    member, group_size = cuda.threadIdx.x, cuda.blockDim.x
    for item in range(cuda.blockIdx.x, n * n_shares, cuda.gridDim.x):
        image, first_map = own_share(item, n_shares)
        for first_position in range(0, height * width, group_size * UNITS):
            convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums)
            for p in range(UNITS):
                position = first_position + member + p * group_size
                if position < height * width:
                    row, column = position // width, position % width
                    for j in range(MAPS):
                        if first_map + j < n_maps:
                            maps[image, first_map + j, row, column] = sums[j, p]


@cuda.jit
def direct_winners(x, taps, k, bias, n_shares, values, positions):
    """One block an image and a share of its maps, which exist in the threads' sums only."""
    (n, n_maps), n_positions = values.shape, x.shape[2] * x.shape[3]
    shared = cuda.shared.array(0, x.dtype, ALIGNMENT)
    sums = cuda.local.array((MAPS, UNITS), x.dtype)
    largest = cuda.local.array(MAPS, x.dtype)
    where = cuda.local.array(MAPS, np.int32)
    member, group_size = cuda.threadIdx.x, cuda.blockDim.x
    own = cuda.threadIdx.y * MAPS * group_size
    n_candidates = cuda.blockDim.y * MAPS * group_size
    shared_where = cuda.shared.array(0, int32)[n_candidates * x.itemsize // 4 :]
    for item in range(cuda.blockIdx.x, n * n_shares, cuda.gridDim.x):
        image, first_map = own_share(item, n_shares)
        for j in range(MAPS):
            largest[j], where[j] = 0, 0  # a map without a positive unit is silent
        for first_position in range(0, n_positions, group_size * UNITS):
            convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums)
            for p in range(UNITS):
                position = first_position + member + p * group_size
                if position < n_positions:
                    for j in range(MAPS):
                        if sums[j, p] > largest[j]:
                            largest[j], where[j] = sums[j, p], position
        cuda.syncthreads()  # the image's memory is free
        for j in range(MAPS):
            shared[own + j * group_size + member] = largest[j]
            shared_where[own + j * group_size + member] = where[j]
        group_winners(shared, shared_where, MAPS)
        for j in range(member, min(MAPS, n_maps - first_map), group_size):
            values[image, first_map + j] = shared[own + j * group_size]
            positions[image, first_map + j] = shared_where[own + j * group_size]


@cuda.jit
def direct_pooled(x, taps, k, bias, n_shares, pool_width, stride, first_row, first_column, pooled):
    """One block an image and a share of its maps, in shared memory behind taps and image."""
    n, _, height, width = x.shape
    _, n_maps, rows, columns = pooled.shape
    n_positions, n_windows = height * width, rows * columns
    shared = cuda.shared.array(0, x.dtype, ALIGNMENT)
    sums = cuda.local.array((MAPS, UNITS), x.dtype)
    member, group_size = cuda.threadIdx.x, cuda.blockDim.x
    n_before = (height + k - 1) * (width + k - 1) + cuda.blockDim.y * MAPS * k * k
    maps = shared[n_before + cuda.threadIdx.y * MAPS * n_positions :]
    for item in range(cuda.blockIdx.x, n * n_shares, cuda.gridDim.x):
        image, first_map = own_share(item, n_shares)
        for first_position in range(0, n_positions, group_size * UNITS):
            convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums)
            for p in range(UNITS):
                position = first_position + member + p * group_size
                if position < n_positions:
                    for j in range(MAPS):
                        maps[j * n_positions + position] = sums[j, p]
        cuda.syncthreads()
        for i in range(member, min(MAPS, n_maps - first_map) * n_windows, group_size):
            j, row, column = i // n_windows, i % n_windows // columns, i % columns
            top, left = first_row + row * stride, first_column + column * stride
            largest = x.dtype.type(0)  # the ReLU
            for y in range(max(0, top), min(height, top + pool_width)):
                for column_ in range(max(0, left), min(width, left + pool_width)):
                    largest = max(largest, maps[j * n_positions + y * width + column_])
            pooled[image, first_map + j, row, column] = largest
