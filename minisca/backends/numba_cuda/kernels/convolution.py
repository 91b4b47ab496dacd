"""Convolution of any layer, the gradient of its filters; filters transposed; maps in chunks.

Layers that fit into a block's shared memory are convolved by `direct`, all others here.
"""

from numba import cuda

from minisca.backends.numba_cuda.device import empty
from minisca.backends.numba_cuda.kernels import direct
from minisca.backends.numba_cuda.kernels.reduce import group_sum
from minisca.backends.numba_cuda.runtime.launching import launch, launch_over, threads_for
from minisca.chunks import chunks

#: Memory for maps that are stored on the way to a result, some images at a time.
MAP_BYTES = 256 << 20


def convolve(x, filters, bias):
    """The maps (n, m, h, w) of `conv2d`, of arrays on the device."""
    maps = empty((x.shape[0], filters.shape[0], *x.shape[2:]), x.dtype)
    if (layout := direct.make_layout(x, filters)) is not None:
        direct.run(direct.direct_maps, layout, x, filters, bias, maps)
    else:
        launch_over(_convolve, maps.size, x, filters, bias, maps)
    return maps


def map_chunks(x, filters, bias):
    """The maps of one chunk of images after the other, with the rows that they belong to."""
    map_bytes = filters.shape[0] * x.shape[2] * x.shape[3] * x.dtype.itemsize
    for rows in chunks(x.shape[0], map_bytes, MAP_BYTES):
        yield rows, convolve(x[rows], filters, bias)


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


def transposed(filters):
    """Filters (m, c, k, k) as (c, m, k, k), turned by half: what a convolution is undone with."""
    n_maps, channels, k, _ = filters.shape
    turned = empty((channels, n_maps, k, k), filters.dtype)
    launch_over(_transpose, filters.size, filters, turned)
    return turned


@cuda.jit
def _transpose(filters, turned):
    channels, k = filters.shape[1], filters.shape[2]
    for i in range(cuda.grid(1), filters.size, cuda.gridsize(1)):
        dx, dy = i % k, i // k % k
        channel, j = i // (k * k) % channels, i // (k * k * channels)
        turned[channel, j, k - 1 - dy, k - 1 - dx] = filters[j, channel, dy, dx]


def correlate(maps, images, k):
    """Sum over images and positions of unit times patch: the filter gradients (m, c, k, k)."""
    d_filters = empty((maps.shape[1], images.shape[1], k, k), maps.dtype)
    n_threads = threads_for(maps.shape[2] * maps.shape[3])
    n_bytes = n_threads * maps.dtype.itemsize
    launch(_correlate, d_filters.size, n_threads, maps, images, d_filters, shared_bytes=n_bytes)
    return d_filters


@cuda.jit
def _correlate(maps, images, d_filters):
    """One block a tap; first a thread sums its positions in all images, then the block."""
    n, _, height, width = maps.shape
    _, channels, k, _ = d_filters.shape
    shared = cuda.shared.array(0, maps.dtype)
    for tap in range(cuda.blockIdx.x, d_filters.size, cuda.gridDim.x):
        dx, dy = tap % k, tap // k % k
        channel, i = tap // (k * k) % channels, tap // (k * k * channels)
        total = maps.dtype.type(0)
        for position in range(cuda.threadIdx.x, height * width, cuda.blockDim.x):
            row, column = position // width, position % width
            y, x = row + dy - k // 2, column + dx - k // 2
            if 0 <= y < height and 0 <= x < width:
                for image in range(n):
                    total += maps[image, i, row, column] * images[image, channel, y, x]
        total = group_sum(total, shared)
        if cuda.threadIdx.x == 0:
            d_filters[i, channel, dy, dx] = total
