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


def groups(n_maps):
    """How many blocks share the maps of an image."""
    return -(-n_maps // MAPS)


def threads(x):
    """Threads of a block: enough for every place of an image once, if a block may have so many."""
    return device.threads_for(-(-x.shape[2] * x.shape[3] // PLACES))


@cuda.jit(device=True)
def convolve(x, image, filters, bias, first_map, first_place, shared, sums):
    """sums[j, p] <- unit first_place + thread + p * n_threads of map first_map + j, bias included.

    The whole block calls it. Where there is no such unit or map, the sum means nothing. The inner
    loops index with unsigned numbers: a signed index might count from the end, and is checked.
    """
    _, channels, height, width = x.shape
    k, line, n_threads = filters.shape[2], width + filters.shape[2] - 1, cuda.blockDim.x
    plane = (height + k - 1) * line
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
        load_channel(x, image, channel, k, shared)
        load_taps(filters, first_map, channel, shared, plane)
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
def load_channel(x, image, channel, k, shared):
    """One channel of an image, with its k // 2 zeros on every side, into shared memory."""
    height, width, line = x.shape[2], x.shape[3], x.shape[3] + k - 1
    row, column = cuda.threadIdx.x // line, cuda.threadIdx.x % line
    rows, columns = cuda.blockDim.x // line, cuda.blockDim.x % line
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
def load_taps(filters, first_map, channel, shared, start):
    """One channel of MAPS filters, tap by tap, all maps of a tap together, from `start` on."""
    n_maps, k = filters.shape[0], filters.shape[2]
    for i in range(cuda.threadIdx.x, MAPS * k * k, cuda.blockDim.x):
        tap, j = i // MAPS, i % MAPS
        shared[start + i] = (
            filters[first_map + j, channel, tap // k, tap % k]
            if first_map + j < n_maps
            else filters.dtype.type(0)
        )
