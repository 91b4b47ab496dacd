"""Same-padded cross-correlation and its gradients (paper section 2): a_i = P_i * x + b_i.

The gradient by x is a convolution too, with the filters turned around and maps and channels
exchanged; the gradient of the filters is one sum a tap, each a block's.
"""

from numba import cuda

from minisca.backends.numba_cuda import device
from minisca.backends.numba_cuda.device import (
    empty,
    launch,
    launch_over,
    on_device,
    zeros,
)
from minisca.backends.numba_cuda.kernels import tile
from minisca.backends.numba_cuda.kernels.reduce import block_sum
from minisca.backends.numba_cuda.kernels.tile import MAPS, PLACES


def conv2d(x, filters, bias):
    """See `minisca.backends.interface.Backend.conv2d`."""
    x, filters, bias = on_device(x, filters, bias)
    maps = empty((x.shape[0], filters.shape[0], *x.shape[2:]), x.dtype)
    n_bytes = tile.shared_bytes(x, filters)
    if tile.fits(n_bytes):
        n_blocks = x.shape[0] * tile.groups(filters.shape[0])
        n_threads = tile.threads(x)
        launch(
            _convolve_in_tiles, n_blocks, n_threads, n_bytes,
            x, tile.flat(filters), filters.shape[2], bias, maps,
        )  # fmt: skip
    else:
        launch_over(maps.size, _convolve, x, filters, bias, maps)
    return maps


@cuda.jit
def _convolve_in_tiles(x, taps, k, bias, maps):
    """One block an image and MAPS maps."""
    n, n_maps, height, width = maps.shape
    n_groups = (n_maps + MAPS - 1) // MAPS
    shared = cuda.shared.array(0, x.dtype)
    sums = cuda.local.array((MAPS, PLACES), x.dtype)
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    for item in range(cuda.blockIdx.x, n * n_groups, cuda.gridDim.x):
        image, first_map = item // n_groups, item % n_groups * MAPS
        for first_place in range(0, height * width, n_threads * PLACES):
            tile.convolve(x, image, taps, k, bias, first_map, first_place, shared, sums)
            for p in range(PLACES):
                place = first_place + thread + p * n_threads
                if place < height * width:
                    row, column = place // width, place % width
                    for j in range(MAPS):
                        if first_map + j < n_maps:
                            maps[image, first_map + j, row, column] = sums[j, p]


@cuda.jit
def _convolve(x, filters, bias, maps):
    """The general path: one thread a unit, everything read from global memory."""
    _, n_maps, height, width = maps.shape
    channels, k = filters.shape[1], filters.shape[2]
    for unit in range(cuda.grid(1), maps.size, cuda.gridsize(1)):
        row, column = unit // width % height, unit % width
        i, image = unit // (width * height) % n_maps, unit // (width * height * n_maps)
        top, left = row - k // 2, column - k // 2
        total = bias[i]
        for channel in range(channels):
            for dy in range(max(0, -top), min(k, height - top)):
                for dx in range(max(0, -left), min(k, width - left)):
                    total += filters[i, channel, dy, dx] * x[image, channel, top + dy, left + dx]
        maps[image, i, row, column] = total


def conv2d_backward(x, filters, d_maps, needs_x=True):
    """See `minisca.backends.interface.Backend.conv2d_backward`."""
    x, filters, d_maps = on_device(x, filters, d_maps)
    d_x = None
    if needs_x:
        d_x = conv2d(d_maps, transposed(filters), zeros(x.shape[1], x.dtype))
    return d_x, correlate_patches(d_maps, x, filters.shape[2]), channel_sums(d_maps, 1)


def transposed(filters):
    """Filters (m, c, k, k) as (c, m, k, k), turned by half: what `conv2d` needs to be undone."""
    n_maps, channels, k, _ = filters.shape
    turned = empty((channels, n_maps, k, k), filters.dtype)
    launch_over(filters.size, _transpose, filters, turned)
    return turned


@cuda.jit
def _transpose(filters, turned):
    channels, k = filters.shape[1], filters.shape[2]
    for i in range(cuda.grid(1), filters.size, cuda.gridsize(1)):
        dx, dy = i % k, i // k % k
        channel, j = i // (k * k) % channels, i // (k * k * channels)
        turned[channel, j, k - 1 - dy, k - 1 - dx] = filters[j, channel, dy, dx]


def correlate_patches(maps, images, k):
    """Sum over images and places of value times patch (the filter gradients), (m, c, k, k)."""
    d_filters = empty((maps.shape[1], images.shape[1], k, k), maps.dtype)
    n_threads = device.threads_for(maps.shape[2] * maps.shape[3])
    n_bytes = n_threads * maps.dtype.itemsize
    launch(_correlate, d_filters.size, n_threads, n_bytes, maps, images, d_filters)
    return d_filters


@cuda.jit
def _correlate(maps, images, d_filters):
    """One block a tap, summed in two steps: a thread its places in all images, then the block."""
    n, _, height, width = maps.shape
    _, channels, k, _ = d_filters.shape
    shared = cuda.shared.array(0, maps.dtype)
    for tap in range(cuda.blockIdx.x, d_filters.size, cuda.gridDim.x):
        dx, dy = tap % k, tap // k % k
        channel, i = tap // (k * k) % channels, tap // (k * k * channels)
        total = maps.dtype.type(0)
        for place in range(cuda.threadIdx.x, height * width, cuda.blockDim.x):
            row, column = place // width, place % width
            y, x = row + dy - k // 2, column + dx - k // 2
            if 0 <= y < height and 0 <= x < width:
                for image in range(n):
                    total += maps[image, i, row, column] * images[image, channel, y, x]
        total = block_sum(total, shared)
        if cuda.threadIdx.x == 0:
            d_filters[i, channel, dy, dx] = total


def channel_sums(images, factor):
    """`factor` times the sum over images and places of every channel (the bias gradients)."""
    n, channels, height, width = images.shape
    dtype = images.dtype
    planes, sums = empty((n, channels), dtype), empty(channels, dtype)
    n_bytes = device.THREADS * dtype.itemsize
    flat = images.reshape((n * channels, height * width))
    launch(_sum_planes, n * channels, device.THREADS, n_bytes, flat, planes.reshape(n * channels))
    launch(_sum_images, channels, device.THREADS, n_bytes, planes, dtype.type(factor), sums)
    return sums


@cuda.jit
def _sum_planes(planes, sums):
    """One block a plane (a channel of an image)."""
    shared = cuda.shared.array(0, planes.dtype)
    for i in range(cuda.blockIdx.x, planes.shape[0], cuda.gridDim.x):
        total = planes.dtype.type(0)
        for place in range(cuda.threadIdx.x, planes.shape[1], cuda.blockDim.x):
            total += planes[i, place]
        total = block_sum(total, shared)
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
        total = block_sum(total, shared)
        if cuda.threadIdx.x == 0:
            sums[channel] = factor * total
