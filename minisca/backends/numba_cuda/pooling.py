"""Overlapping max-pooling, its gradient, and convolution, ReLU and pooling in one pass.

Output side ceil(size / stride), windows clipped to the map (paper sections 2.1 and 3.1).
"""

from numba import cuda

from minisca.backends.numba_cuda.device import empty
from minisca.backends.numba_cuda.kernels import direct
from minisca.backends.numba_cuda.kernels.convolution import map_chunks
from minisca.backends.numba_cuda.runtime.arrays import operation, zeros
from minisca.backends.numba_cuda.runtime.launching import launch_over
from minisca.backends.numba_cuda.winners import relu
from minisca.backends.pool_windows import pool_windows


@operation
def max_pool(maps, pool_width, pool_stride, origin="centred"):
    """See `minisca.backends.interface.Backend.max_pool`."""
    sides, first = pool_windows(maps.shape[2:], pool_width, pool_stride, origin)
    pooled = empty((*maps.shape[:2], *sides), maps.dtype)
    argmax = empty(pooled.shape, "int32")
    launch_over(_max_pool, pooled.size, maps, pool_width, pool_stride, *first, pooled, argmax)
    return pooled, argmax


@cuda.jit
def _max_pool(maps, pool_width, stride, first_row, first_column, pooled, argmax):
    """One thread a window."""
    _, n_maps, height, width = maps.shape
    rows, columns = pooled.shape[2], pooled.shape[3]
    for i in range(cuda.grid(1), pooled.size, cuda.gridsize(1)):
        row, column = i // columns % rows, i % columns
        j, image = i // (columns * rows) % n_maps, i // (columns * rows * n_maps)
        top, left = first_row + row * stride, first_column + column * stride
        position = max(0, top) * width + max(0, left)
        largest = maps[image, j, max(0, top), max(0, left)]
        for y in range(max(0, top), min(height, top + pool_width)):
            for x in range(max(0, left), min(width, left + pool_width)):
                if maps[image, j, y, x] > largest:
                    largest = maps[image, j, y, x]
                    position = y * width + x
        pooled[image, j, row, column] = largest
        argmax[image, j, row, column] = position


@operation
def max_pool_backward(d_pooled, argmax, shape):
    """See `minisca.backends.interface.Backend.max_pool_backward`."""
    n, n_maps, height, width = shape
    d_maps = empty(shape, d_pooled.dtype)
    by_map = (n * n_maps, d_pooled.shape[2] * d_pooled.shape[3])
    by_position = d_maps.reshape((n * n_maps, height * width))
    pooled = d_pooled.reshape(by_map), argmax.reshape(by_map)
    launch_over(_max_pool_backward, d_maps.size, *pooled, by_position)
    return d_maps


@cuda.jit
def _max_pool_backward(d_pooled, argmax, d_maps):
    """One thread a position: it collects from the windows that it won, in their order."""
    n_positions = d_maps.shape[1]
    for i in range(cuda.grid(1), d_maps.size, cuda.gridsize(1)):
        row, position = i // n_positions, i % n_positions
        total = d_maps.dtype.type(0)
        for window in range(argmax.shape[1]):
            if argmax[row, window] == position:
                total += d_pooled[row, window]
        d_maps[row, position] = total


@operation
def encode_pooled(x, filters, bias, pool_width, pool_stride, origin="centred", factors=None):
    """See `minisca.backends.interface.Backend.encode_pooled`."""
    sides, first = pool_windows(x.shape[2:], pool_width, pool_stride, origin)
    pooled = empty((x.shape[0], filters.shape[0], *sides), x.dtype)
    windows = pool_width, pool_stride, *first
    layout = direct.make_layout(x, filters, units_stored=True)
    if layout is not None and factors is None:
        direct.run(direct.direct_pooled, layout, x, filters, bias, *windows, pooled)
        return pooled
    first_bias = bias if factors is None else zeros(bias.shape, bias.dtype)
    for rows, maps in map_chunks(x, filters, first_bias):
        if factors is not None:
            launch_over(_scale, maps.size, maps, factors[rows], bias)
        part, argmax = pooled[rows], empty(pooled[rows].shape, "int32")
        launch_over(_max_pool, part.size, relu(maps), *windows, part, argmax)
    return pooled


@cuda.jit
def _scale(maps, factors, bias):
    """maps (n, m, h, w) <- factors (n, h, w) * maps + bias (m,), in place. One thread a unit."""
    _, n_maps, height, width = maps.shape
    for i in range(cuda.grid(1), maps.size, cuda.gridsize(1)):
        row, column = i // width % height, i % width
        j, image = i // (width * height) % n_maps, i // (width * height * n_maps)
        factor = factors[image, row, column]
        maps[image, j, row, column] = factor * maps[image, j, row, column] + bias[j]
