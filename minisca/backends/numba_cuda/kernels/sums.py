"""Sums of many numbers in two steps, of which the second adds up what blocks have found."""

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import empty, to_device, to_host
from minisca.backends.numba_cuda.kernels.reduce import group_sum
from minisca.backends.numba_cuda.runtime.arrays import flat
from minisca.backends.numba_cuda.runtime.launching import launch_blocks

#: Parts of a sum of squares, each of a block of its own; fixed, so that no device changes the sum.
PARTS = 512


def channel_sums(images, factor=1):
    """`factor` times the sum of every channel of images (n, c, h, w): the bias gradients (c,)."""
    n, channels, height, width = images.shape
    dtype = images.dtype
    planes, sums = empty((n, channels), dtype), empty(channels, dtype)
    of_planes = images.reshape((n * channels, height * width))
    launch_blocks(_sum_planes, n * channels, of_planes, *flat(planes), dtype=dtype)
    launch_blocks(_sum_images, channels, planes, dtype.type(factor), sums, dtype=dtype)
    return sums


@cuda.jit
def _sum_planes(planes, sums):
    """One block a plane (a channel of an image)."""
    shared = cuda.shared.array(0, planes.dtype)
    for i in range(cuda.blockIdx.x, planes.shape[0], cuda.gridDim.x):
        total = planes.dtype.type(0)
        for position in range(cuda.threadIdx.x, planes.shape[1], cuda.blockDim.x):
            total += planes[i, position]
        total = group_sum(total, shared)
        if cuda.threadIdx.x == 0:
            sums[i] = total


@cuda.jit
def _sum_images(planes, factor, sums):
    """One block a channel, over the images' sums of it."""
    shared = cuda.shared.array(0, planes.dtype)
    for channel in range(cuda.blockIdx.x, planes.shape[1], cuda.gridDim.x):
        total = planes.dtype.type(0)
        for image in range(cuda.threadIdx.x, planes.shape[0], cuda.blockDim.x):
            total += planes[image, channel]
        total = group_sum(total, shared)
        if cuda.threadIdx.x == 0:
            sums[channel] = factor * total


def squared_norm(array):
    """Sum of squares of `array`, taken in float64, as a Python float; the same bits every time."""
    total = empty(1, np.float64)
    add_up(total, parts_of(_square_and_sum, *flat(to_device(array))))
    return float(to_host(total)[0])


def parts_of(kernel, *args):
    """The PARTS numbers, in float64, that `kernel` finds, a block each: its last argument."""
    parts = empty(PARTS, np.float64)
    launch_blocks(kernel, PARTS, *args, parts, dtype=np.float64)
    return parts


def add_up(total, parts, divisor=1):
    """total (1,) <- the sum of parts (p,) / divisor."""
    args = parts, parts.dtype.type(divisor), total
    launch_blocks(_add_up, 1, *args, dtype=parts.dtype)


@cuda.jit
def _square_and_sum(array, parts):
    shared = cuda.shared.array(0, parts.dtype)
    n_threads = cuda.blockDim.x
    for part in range(cuda.blockIdx.x, parts.size, cuda.gridDim.x):
        total = 0.0
        first = part * n_threads + cuda.threadIdx.x
        for i in range(first, array.size, parts.size * n_threads):
            total += np.float64(array[i]) * np.float64(array[i])
        total = group_sum(total, shared)
        if cuda.threadIdx.x == 0:
            parts[part] = total


@cuda.jit
def _add_up(parts, divisor, total):
    """One block."""
    shared = cuda.shared.array(0, parts.dtype)
    own = parts.dtype.type(0)
    for i in range(cuda.threadIdx.x, parts.size, cuda.blockDim.x):
        own += parts[i]
    own = group_sum(own, shared)
    if cuda.threadIdx.x == 0:
        total[0] = own / divisor
