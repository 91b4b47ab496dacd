"""Fused convolution: nothing but winners, or pooled maps, reaches global memory (or the maps).

A block has MAPS maps of one image at once. For one channel at a time the zero-padded image and the
taps of MAPS filters lie in shared memory; a thread holds the sums of UNITS units of each map,
so that every number read from there is used several times.
"""

import numpy as np
from numba import cuda, int32, uint32
from numba.cuda.core import config

from minisca.backends.numba_cuda.kernels.reduce import block_winners
from minisca.backends.numba_cuda.runtime import launching
from minisca.backends.numba_cuda.runtime.launching import launch, threads_for
from minisca.chunks import ceil_div

#: Maps that a block convolves at once.
MAPS = 8
#: Units of every map that a thread holds at once, one number of threads apart.
UNITS = 4
#: Bytes that shared memory is aligned to, for reads of several numbers; the simulator knows none.
ALIGNMENT = None if config.ENABLE_CUDASIM else 16


def shared_bytes(x, filters, units_stored=False):
    """Shared memory for one channel of an image and of MAPS filters, and for MAPS maps."""
    (_, _, height, width), k = x.shape, filters.shape[2]
    n_numbers = (height + k - 1) * (width + k - 1) + MAPS * k * k
    return (n_numbers + MAPS * height * width * units_stored) * x.dtype.itemsize


def fits(n_bytes):
    """Whether a block may have that much shared memory."""
    return n_bytes <= launching.SHARED_BYTES


def threads(x):
    """Threads of a block: enough for every position of an image once, if it may have so many."""
    return threads_for(ceil_div(x.shape[2] * x.shape[3], UNITS))


def run(kernel, x, filters, bias, n_bytes, *more):
    """Launch one of the kernels below with `n_bytes` of shared memory a block."""
    n_maps, channels, k, _ = filters.shape
    n_blocks, taps = x.shape[0] * ceil_div(n_maps, MAPS), filters.reshape((n_maps, channels, k * k))
    launch(kernel, n_blocks, threads(x), x, taps, k, bias, *more, shared_bytes=n_bytes)


@cuda.jit(device=True)
def convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums):
    """sums[j, p] <- unit first_position + thread + p * n_threads of map first_map + j, with bias.

    taps (m, c, k * k); the whole block calls it. Where there is no such unit or map, the sum means
    nothing. The inner loops index with unsigned numbers: a signed index might count from the end,
    and is checked.
    """
    _, channels, height, width = x.shape
    pitch, n_threads = width + k - 1, cuda.blockDim.x
    corner = cuda.threadIdx.x // pitch, cuda.threadIdx.x % pitch
    step = n_threads // pitch, n_threads % pitch
    corners = cuda.local.array(UNITS, uint32)
    pixels = cuda.local.array(UNITS, x.dtype)
    for p in range(UNITS):
        position = min(first_position + cuda.threadIdx.x + p * n_threads, height * width - 1)
        corners[p] = position // width * pitch + position % width
    for j in range(MAPS):
        start = bias[min(first_map + j, bias.size - 1)]
        for p in range(UNITS):
            sums[j, p] = start
    for channel in range(channels):
        cuda.syncthreads()  # all have done with the channel before
        load_taps(taps, first_map, channel, shared)
        load_channel(x, image, channel, k, corner, step, shared[MAPS * k * k :])
        cuda.syncthreads()
        tap = 0
        for dy in range(k):
            for dx in range(k):
                # a multiple of MAPS, in aligned memory: weights are read several at a time
                weights = np.uint32(tap * MAPS)
                seen = np.uint32(MAPS * k * k + dy * pitch + dx)
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
    for i in range(cuda.threadIdx.x, (height + k - 1) * pitch, cuda.blockDim.x):
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
    """One channel of MAPS filters, tap by tap, all maps of a tap together."""
    n_maps, _, n_taps = taps.shape
    for i in range(cuda.threadIdx.x, MAPS * n_taps, cuda.blockDim.x):
        tap, j = i // MAPS, i % MAPS
        exists = first_map + j < n_maps
        shared[i] = taps[first_map + j, channel, tap] if exists else taps.dtype.type(0)


@cuda.jit
def direct_maps(x, taps, k, bias, maps):
    """One block an image and MAPS maps."""
    n, n_maps, height, width = maps.shape
    n_groups = (n_maps + MAPS - 1) // MAPS
    shared = cuda.shared.array(0, x.dtype, ALIGNMENT)
    sums = cuda.local.array((MAPS, UNITS), x.dtype)
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    for item in range(cuda.blockIdx.x, n * n_groups, cuda.gridDim.x):
        image, first_map = item // n_groups, item % n_groups * MAPS
        for first_position in range(0, height * width, n_threads * UNITS):
            convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums)
            for p in range(UNITS):
                position = first_position + thread + p * n_threads
                if position < height * width:
                    row, column = position // width, position % width
                    for j in range(MAPS):
                        if first_map + j < n_maps:
                            maps[image, first_map + j, row, column] = sums[j, p]


@cuda.jit
def direct_winners(x, taps, k, bias, values, positions):
    """One block an image and MAPS maps; the maps exist in the threads' sums only."""
    (n, n_maps), n_positions = values.shape, x.shape[2] * x.shape[3]
    n_groups = (n_maps + MAPS - 1) // MAPS
    shared = cuda.shared.array(0, x.dtype, ALIGNMENT)
    sums = cuda.local.array((MAPS, UNITS), x.dtype)
    largest = cuda.local.array(MAPS, x.dtype)
    where = cuda.local.array(MAPS, np.int32)
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    shared_where = cuda.shared.array(0, int32)[MAPS * n_threads * x.itemsize // 4 :]
    for item in range(cuda.blockIdx.x, n * n_groups, cuda.gridDim.x):
        image, first_map = item // n_groups, item % n_groups * MAPS
        for j in range(MAPS):
            largest[j], where[j] = 0, 0  # a map without a positive unit is silent
        for first_position in range(0, n_positions, n_threads * UNITS):
            convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums)
            for p in range(UNITS):
                position = first_position + thread + p * n_threads
                for j in range(MAPS):
                    if position < n_positions and sums[j, p] > largest[j]:
                        largest[j], where[j] = sums[j, p], position
        cuda.syncthreads()  # the image's memory is free
        for j in range(MAPS):
            shared[j * n_threads + thread] = largest[j]
            shared_where[j * n_threads + thread] = where[j]
        block_winners(shared, shared_where, MAPS)
        for j in range(thread, min(MAPS, n_maps - first_map), n_threads):
            values[image, first_map + j] = shared[j * n_threads]
            positions[image, first_map + j] = shared_where[j * n_threads]


@cuda.jit
def direct_pooled(x, taps, k, bias, pool_width, stride, first_row, first_column, pooled):
    """One block an image and MAPS maps, which stay in shared memory behind image and taps."""
    n, _, height, width = x.shape
    _, n_maps, rows, columns = pooled.shape
    n_groups = (n_maps + MAPS - 1) // MAPS
    n_positions, n_windows = height * width, rows * columns
    shared = cuda.shared.array(0, x.dtype, ALIGNMENT)
    maps = shared[(height + k - 1) * (width + k - 1) + MAPS * k * k :]
    sums = cuda.local.array((MAPS, UNITS), x.dtype)
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    for item in range(cuda.blockIdx.x, n * n_groups, cuda.gridDim.x):
        image, first_map = item // n_groups, item % n_groups * MAPS
        for first_position in range(0, n_positions, n_threads * UNITS):
            convolve_units(x, image, taps, k, bias, first_map, first_position, shared, sums)
            for p in range(UNITS):
                position = first_position + thread + p * n_threads
                if position < n_positions:
                    for j in range(MAPS):
                        maps[j * n_positions + position] = sums[j, p]
        cuda.syncthreads()
        for i in range(thread, min(MAPS, n_maps - first_map) * n_windows, n_threads):
            j, row, column = i // n_windows, i % n_windows // columns, i % columns
            top, left = first_row + row * stride, first_column + column * stride
            largest = x.dtype.type(0)  # the ReLU
            for y in range(max(0, top), min(height, top + pool_width)):
                for column_ in range(max(0, left), min(width, left + pool_width)):
                    largest = max(largest, maps[j * n_positions + y * width + column_])
            pooled[image, first_map + j, row, column] = largest
