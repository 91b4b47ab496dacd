"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import launch_over, on_device, to_host


def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`. Host arrays are changed in place."""
    number = parameter.dtype.type
    arrays = on_device(parameter, gradient, velocity)
    flat = [array.reshape(array.size) for array in arrays]
    launch_over(flat[0].size, _step, *flat, number(learning_rate), number(momentum))
    for given, changed in ((parameter, arrays[0]), (velocity, arrays[2])):
        if isinstance(given, np.ndarray):
            given[...] = to_host(changed)


@cuda.jit
def _step(parameter, gradient, velocity, learning_rate, momentum):
    for i in range(cuda.grid(1), parameter.size, cuda.gridsize(1)):
        v = momentum * velocity[i] - learning_rate * gradient[i]
        velocity[i] = v
        parameter[i] += v
