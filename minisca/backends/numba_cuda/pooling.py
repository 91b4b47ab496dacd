"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

Output side ceil(size / stride), windows centred on the whole and clipped to the map (paper
sections 2.1 and 3.1).
"""

from numba import cuda

from minisca.backends.numba_cuda import device
from minisca.backends.numba_cuda.conv import conv2d
from minisca.backends.numba_cuda.device import empty, launch, launch_over, on_device, to_device
from minisca.backends.numba_cuda.kernels import tile
from minisca.backends.numba_cuda.kernels.tile import MAPS, PLACES
from minisca.backends.numba_cuda.winners import relu


def max_pool(maps, width, stride):
    """See `minisca.backends.interface.Backend.max_pool`."""
    maps = to_device(maps)
    n, n_maps, *size = maps.shape
    sides, first = zip(*(windows(side, width, stride) for side in size), strict=True)
    pooled = empty((n, n_maps, *sides), maps.dtype)
    argmax = empty(pooled.shape, "int32")
    launch_over(pooled.size, _max_pool, maps, width, stride, *first, pooled, argmax)
    return pooled, argmax


def windows(size, width, stride):
    """Along one side: how many windows, and where the first begins (before the map, if < 0)."""
    n_windows = -(-size // stride)
    return n_windows, -(((n_windows - 1) * stride + width - size) // 2)


@cuda.jit
def _max_pool(maps, width, stride, first_row, first_column, pooled, argmax):
    """One thread a window."""
    _, n_maps, height, line = maps.shape
    rows, columns = pooled.shape[2], pooled.shape[3]
    for i in range(cuda.grid(1), pooled.size, cuda.gridsize(1)):
        row, column = i // columns % rows, i % columns
        j, image = i // (columns * rows) % n_maps, i // (columns * rows * n_maps)
        top, left = first_row + row * stride, first_column + column * stride
        place = max(0, top) * line + max(0, left)
        largest = maps[image, j, max(0, top), max(0, left)]
        for y in range(max(0, top), min(height, top + width)):
            for x in range(max(0, left), min(line, left + width)):
                if maps[image, j, y, x] > largest:
                    largest = maps[image, j, y, x]
                    place = y * line + x
        pooled[image, j, row, column] = largest
        argmax[image, j, row, column] = place


def max_pool_backward(d_pooled, argmax, shape):
    """See `minisca.backends.interface.Backend.max_pool_backward`."""
    d_pooled, argmax = on_device(d_pooled, argmax)
    n, n_maps, height, width = shape
    d_maps = empty(shape, d_pooled.dtype)
    by_map = (n * n_maps, d_pooled.shape[2] * d_pooled.shape[3])
    launch_over(
        d_maps.size, _gather,
        d_pooled.reshape(by_map), argmax.reshape(by_map),
        d_maps.reshape((n * n_maps, height * width)),
    )  # fmt: skip
    return d_maps


@cuda.jit
def _gather(d_pooled, argmax, d_maps):
    """One thread a place: it collects from the windows that it won, in their order."""
    n_places = d_maps.shape[1]
    for i in range(cuda.grid(1), d_maps.size, cuda.gridsize(1)):
        row, place = i // n_places, i % n_places
        total = d_maps.dtype.type(0)
        for window in range(argmax.shape[1]):
            if argmax[row, window] == place:
                total += d_pooled[row, window]
        d_maps[row, place] = total


def encode_pooled(x, filters, bias, width, stride):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    x, filters, bias = on_device(x, filters, bias)
    n, _, *size = x.shape
    sides, first = zip(*(windows(side, width, stride) for side in size), strict=True)
    pooled = empty((n, filters.shape[0], *sides), x.dtype)
    n_bytes = tile.shared_bytes(x, filters) + MAPS * size[0] * size[1] * x.dtype.itemsize
    if tile.fits(n_bytes):
        launch(
            _convolve_and_pool, n * tile.groups(filters.shape[0]), tile.threads(x), n_bytes,
            x, tile.flat(filters), filters.shape[2], bias, width, stride, *first, pooled,
        )  # fmt: skip
    else:
        map_bytes = filters.shape[0] * size[0] * size[1] * x.dtype.itemsize
        for rows in device.chunks(n, map_bytes):
            maps = relu(conv2d(x[rows], filters, bias))
            part, argmax = pooled[rows], empty(pooled[rows].shape, "int32")
            launch_over(part.size, _max_pool, maps, width, stride, *first, part, argmax)
    return pooled


@cuda.jit
def _convolve_and_pool(x, taps, k, bias, width, stride, first_row, first_column, pooled):
    """One block an image and MAPS maps, which stay in shared memory behind the tile."""
    n, _, height, line = x.shape
    _, n_maps, rows, columns = pooled.shape
    n_groups = (n_maps + MAPS - 1) // MAPS
    n_places, n_windows = height * line, rows * columns
    shared = cuda.shared.array(0, x.dtype)
    maps = shared[(height + k - 1) * (line + k - 1) + MAPS * k * k :]
    sums = cuda.local.array((MAPS, PLACES), x.dtype)
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    for item in range(cuda.blockIdx.x, n * n_groups, cuda.gridDim.x):
        image, first_map = item // n_groups, item % n_groups * MAPS
        for first_place in range(0, n_places, n_threads * PLACES):
            tile.convolve(x, image, taps, k, bias, first_map, first_place, shared, sums)
            for p in range(PLACES):
                place = first_place + thread + p * n_threads
                if place < n_places:
                    for j in range(MAPS):
                        maps[j * n_places + place] = sums[j, p]
        cuda.syncthreads()
        for i in range(thread, min(MAPS, n_maps - first_map) * n_windows, n_threads):
            j, row, column = i // n_windows, i % n_windows // columns, i % columns
            top, left = first_row + row * stride, first_column + column * stride
            largest = x.dtype.type(0)  # the ReLU
            for y in range(max(0, top), min(height, top + width)):
                for column_ in range(max(0, left), min(line, left + width)):
                    largest = max(largest, maps[j * n_places + y * line + column_])
            pooled[image, first_map + j, row, column] = largest
