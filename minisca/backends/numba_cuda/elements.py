"""The arithmetic between operations, one thread a number: `minisca.backends.interface.Support`."""

import math

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda import device
from minisca.backends.numba_cuda.device import empty, launch, launch_over, on_device, to_device
from minisca.backends.numba_cuda.kernels import norm
from minisca.backends.numba_cuda.kernels.reduce import block_sum


def flat(array):
    """The numbers of a C-contiguous array as one row."""
    return array.reshape(array.size)


def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    images, rows = on_device(images, rows)
    n, n_gathered = images.shape[0], rows.shape[0]
    gathered = empty((n_gathered, *images.shape[1:]), images.dtype)
    launch_over(
        gathered.size, _gather,
        images.reshape((n, images.size // n)), rows,
        gathered.reshape((n_gathered, gathered.size // n_gathered)),
    )  # fmt: skip
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
    partial = empty(norm.PIECES, np.float64)
    launch(
        _subtract_and_sum, norm.PIECES, device.THREADS, device.THREADS * 8,
        *map(flat, (x_hat, x)), x.dtype.type(divisor), flat(error), partial,
    )  # fmt: skip
    return norm.add_up(partial), error


@cuda.jit
def _subtract_and_sum(x_hat, x, divisor, error, partial):
    """A block a piece, as in `norm`."""
    shared = cuda.shared.array(0, partial.dtype)
    n_threads = cuda.blockDim.x
    for piece in range(cuda.blockIdx.x, partial.size, cuda.gridDim.x):
        total = 0.0
        first = piece * n_threads + cuda.threadIdx.x
        for i in range(first, x.size, partial.size * n_threads):
            difference = x_hat[i] - x[i]
            total += np.float64(difference) * np.float64(difference)
            error[i] = difference / divisor
        total = block_sum(total, shared)
        if cuda.threadIdx.x == 0:
            partial[piece] = total


def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    array = to_device(array)
    product = empty(array.shape, array.dtype)
    launch_over(array.size, _scale, flat(array), array.dtype.type(factor), flat(product))
    return product


@cuda.jit
def _scale(array, factor, product):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        product[i] = factor * array[i]


def add_(array, other):
    """See `minisca.backends.interface.Support.add_`."""
    launch_over(array.size, _add, flat(array), flat(other))


@cuda.jit
def _add(array, other):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        array[i] += other[i]


def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`: whether the squared norm is."""
    return math.isfinite(norm.squared_norm(array))
