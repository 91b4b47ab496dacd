"""The arithmetic between operations, one thread a number: `minisca.backends.interface.Support`."""

import math

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import empty, to_device
from minisca.backends.numba_cuda.kernels.reduce import block_sum
from minisca.backends.numba_cuda.kernels.sums import squared_norm, sum_of_parts
from minisca.backends.numba_cuda.runtime.arrays import flat, on_device
from minisca.backends.numba_cuda.runtime.launching import launch_over


def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    images, rows = on_device(images, rows)
    gathered = empty((rows.shape[0], *images.shape[1:]), images.dtype)
    by_row, gathered_by_row = (
        array.reshape((array.shape[0], array.size // array.shape[0]))
        for array in (images, gathered)
    )
    launch_over(_gather, gathered.size, by_row, rows, gathered_by_row)
    return gathered


@cuda.jit
def _gather(images, rows, gathered):
    row_size = images.shape[1]
    for i in range(cuda.grid(1), gathered.size, cuda.gridsize(1)):
        gathered[i // row_size, i % row_size] = images[rows[i // row_size], i % row_size]


def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    x_hat, x = on_device(x_hat, x)
    error = empty(x.shape, x.dtype)
    numbers = flat(x_hat, x, error)
    return sum_of_parts(_subtract_and_sum, *numbers, x.dtype.type(divisor)), error


@cuda.jit
def _subtract_and_sum(x_hat, x, error, divisor, parts):
    """A block a part."""
    shared = cuda.shared.array(0, parts.dtype)
    n_threads = cuda.blockDim.x
    for part in range(cuda.blockIdx.x, parts.size, cuda.gridDim.x):
        total = 0.0
        first = part * n_threads + cuda.threadIdx.x
        for i in range(first, x.size, parts.size * n_threads):
            difference = x_hat[i] - x[i]
            total += np.float64(difference) * np.float64(difference)
            error[i] = difference / divisor
        total = block_sum(total, shared)
        if cuda.threadIdx.x == 0:
            parts[part] = total


def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    array = to_device(array)
    product = empty(array.shape, array.dtype)
    launch_over(_scale, array.size, *flat(array, product), array.dtype.type(factor))
    return product


@cuda.jit
def _scale(array, product, factor):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        product[i] = factor * array[i]


def add_(array, other):
    """See `minisca.backends.interface.Support.add_`."""
    launch_over(_add, array.size, *flat(array, other))


@cuda.jit
def _add(array, other):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        array[i] += other[i]


def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`: whether the squared norm is."""
    return math.isfinite(squared_norm(array))
