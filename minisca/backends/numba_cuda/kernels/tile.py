"""A block's convolution: MAPS maps of one image at once, PLACES units of each in every thread.

For one channel at a time the zero-padded image and the taps of MAPS filters lie in shared memory;
a thread holds MAPS * PLACES sums, so that every number read from there is used several times.
"""

import numpy as np
from numba import cuda, uint32

from minisca.backends.numba_cuda import device

#: Maps that a block convolves at once.
MAPS = 8
#: Units of every map that a thread holds at once, one number of threads apart.
PLACES = 4


def shared_bytes(x, filters):
    """Shared memory for one channel of an image and of MAPS filters."""
    (_, _, height, width), k = x.shape, filters.shape[2]
    return ((height + k - 1) * (width + k - 1) + MAPS * k * k) * x.dtype.itemsize


def fits(n_bytes):
    """Whether a block may have that much shared memory."""
    return n_bytes <= device.SHARED_BYTES


def flat(filters):
    """The taps of filters (m, c, k, k) in one row a map and channel, (m, c, k * k)."""
    n_maps, channels, k, _ = filters.shape
    return filters.reshape((n_maps, channels, k * k))


def groups(n_maps):
    """How many blocks share the maps of an image."""
    return -(-n_maps // MAPS)


def threads(x):
    """Threads of a block: enough for every place of an image once, if a block may have so many."""
    return device.threads_for(-(-x.shape[2] * x.shape[3] // PLACES))


@cuda.jit(device=True)
def convolve(x, image, taps, k, bias, first_map, first_place, shared, sums):
    """sums[j, p] <- unit first_place + thread + p * n_threads of map first_map + j, bias included.

    taps (m, c, k * k); the whole block calls it. Where there is no such unit or map, the sum means
    nothing. The inner loops index with unsigned numbers: a signed index might count from the end,
    and is checked.
    """
    _, channels, height, width = x.shape
    line, n_threads = width + k - 1, cuda.blockDim.x
    plane = (height + k - 1) * line
    corner = cuda.threadIdx.x // line, cuda.threadIdx.x % line
    step = n_threads // line, n_threads % line
    corners = cuda.local.array(PLACES, uint32)
    pixels = cuda.local.array(PLACES, x.dtype)
    for p in range(PLACES):
        place = min(first_place + cuda.threadIdx.x + p * n_threads, height * width - 1)
        corners[p] = place // width * line + place % width
    for j in range(MAPS):
        start = bias[min(first_map + j, bias.size - 1)]
        for p in range(PLACES):
            sums[j, p] = start
    for channel in range(channels):
        cuda.syncthreads()  # all have done with the channel before
        load_channel(x, image, channel, k, corner, step, shared)
        load_taps(taps, first_map, channel, shared, plane)
        cuda.syncthreads()
        tap = plane
        for dy in range(k):
            for dx in range(k):
                seen, weights = shared[np.uint32(dy * line + dx) :], shared[np.uint32(tap) :]
                for p in range(PLACES):
                    pixels[p] = seen[corners[p]]
                for j in range(MAPS):
                    for p in range(PLACES):
                        sums[j, p] += weights[j] * pixels[p]
                tap += MAPS


@cuda.jit(device=True)
def load_channel(x, image, channel, k, corner, step, shared):
    """One channel of an image, with its k // 2 zeros on every side, into shared memory.

    corner, step: a thread's first row and column, and how far it is to its next: no divisions.
    """
    height, width, line = x.shape[2], x.shape[3], x.shape[3] + k - 1
    (row, column), (rows, columns) = corner, step
    for i in range(cuda.threadIdx.x, (height + k - 1) * line, cuda.blockDim.x):
        y, x_ = row - k // 2, column - k // 2
        inside = 0 <= y < height and 0 <= x_ < width
        shared[i] = x[image, channel, y, x_] if inside else x.dtype.type(0)
        row += rows
        column += columns
        if column >= line:
            column -= line
            row += 1


@cuda.jit(device=True)
def load_taps(taps, first_map, channel, shared, start):
    """One channel of MAPS filters, tap by tap, all maps of a tap together, from `start` on."""
    n_maps, _, n_taps = taps.shape
    for i in range(cuda.threadIdx.x, MAPS * n_taps, cuda.blockDim.x):
        tap, j = i // MAPS, i % MAPS
        exists = first_map + j < n_maps
        shared[start + i] = taps[first_map + j, channel, tap] if exists else taps.dtype.type(0)
