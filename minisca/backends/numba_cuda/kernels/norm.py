"""The sum of squares of an array, which is the loss once the array is the error."""

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda import device
from minisca.backends.numba_cuda.device import empty, launch, to_device, to_host
from minisca.backends.numba_cuda.kernels.reduce import block_sum

#: Partial sums, each of a block of its own; fixed, so that the sum does not depend on the device.
PIECES = 512


def squared_norm(array):
    """Sum of squares of `array`, taken in float64, as a Python float; the same bits every time."""
    flat = to_device(array).reshape(array.size)
    partial = empty(PIECES, np.float64)
    launch(_square_and_sum, PIECES, device.THREADS, device.THREADS * 8, flat, partial)
    return add_up(partial)


def add_up(partial):
    """The sum of a few float64 numbers of the device, as a Python float; nothing else leaves it."""
    total = empty(1, np.float64)
    launch(_sum, 1, device.THREADS, device.THREADS * 8, partial, total)
    return float(to_host(total)[0])


@cuda.jit
def _sum(partial, total):
    """One block."""
    shared = cuda.shared.array(0, partial.dtype)
    own = 0.0
    for i in range(cuda.threadIdx.x, partial.size, cuda.blockDim.x):
        own += partial[i]
    own = block_sum(own, shared)
    if cuda.threadIdx.x == 0:
        total[0] = own


@cuda.jit
def _square_and_sum(array, partial):
    shared = cuda.shared.array(0, partial.dtype)
    n_threads = cuda.blockDim.x
    for piece in range(cuda.blockIdx.x, partial.size, cuda.gridDim.x):
        total = 0.0
        first = piece * n_threads + cuda.threadIdx.x
        for i in range(first, array.size, partial.size * n_threads):
            total += np.float64(array[i]) * np.float64(array[i])
        total = block_sum(total, shared)
        if cuda.threadIdx.x == 0:
            partial[piece] = total
