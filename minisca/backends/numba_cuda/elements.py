"""The arithmetic between operations, one thread a number: `minisca.backends.interface.Support`."""

import math

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import empty, to_device, to_host
from minisca.backends.numba_cuda.kernels.reduce import block_sum
from minisca.backends.numba_cuda.kernels.sums import add_up, parts_of, squared_norm
from minisca.backends.numba_cuda.runtime.arrays import flat, operation
from minisca.backends.numba_cuda.runtime.launching import launch_over
from minisca.backends.numba_cuda.winners import decode_winners


@operation
def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
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


@operation
def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    error = empty(x.shape, x.dtype)
    numbers = flat(x_hat, x, error)
    return parts_of(_subtract_and_sum, *numbers, x.dtype.type(divisor)), error


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


@operation
def decoded_residual(values, positions, filters, bias, x, divisor=1, maps=None):
    """See `minisca.backends.interface.Support.decoded_residual`."""
    return residual(decode_winners(values, positions, filters, bias, x.shape[2:], maps), x, divisor)


@operation
def add_up_(total, parts, divisor=1):
    """See `minisca.backends.interface.Support.add_up_`. Host arrays are changed in place."""
    there = to_device(total)
    add_up(there, parts, divisor)
    if isinstance(total, np.ndarray):
        total[...] = to_host(there)


@operation
def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    product = empty(array.shape, array.dtype)
    launch_over(_scale, array.size, *flat(array, product), array.dtype.type(factor))
    return product


@cuda.jit
def _scale(array, product, factor):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        product[i] = factor * array[i]


@operation
def add_(array, other):
    """See `minisca.backends.interface.Support.add_`. Host arrays are changed in place."""
    there = to_device(array)
    launch_over(_add, there.size, *flat(there, other))
    if isinstance(array, np.ndarray):
        array[...] = to_host(there)


@cuda.jit
def _add(array, other):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        array[i] += other[i]


@operation
def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`: whether the squared norm is."""
    return math.isfinite(squared_norm(array))
