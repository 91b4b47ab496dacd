"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import launch_over, on_device, to_host


def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`. Host arrays are changed in place."""
    if not isinstance(parameter, list):
        parameter, gradient, velocity = [parameter], [gradient], [velocity]
        learning_rate = [learning_rate]
    number = parameter[0].dtype.type
    given = list(zip(parameter, gradient, velocity, strict=True))
    arrays = [on_device(*each) for each in given]
    flat = [
        tuple(array.reshape(array.size) for array in kind) for kind in zip(*arrays, strict=True)
    ]
    rates = tuple(map(number, learning_rate))
    size = sum(values.size for values, _, _ in arrays)
    launch_over(size, _step, *flat, rates, number(momentum))
    for (values, _, velocity), (new_values, _, new_velocity) in zip(given, arrays, strict=True):
        if isinstance(values, np.ndarray):
            values[...], velocity[...] = to_host(new_values), to_host(new_velocity)


@cuda.jit
def _step(parameters, gradients, velocities, rates, momentum):
    """Tuples of arrays, one launch: a layer's parameters are small, and a launch costs more."""
    for j in range(len(parameters)):
        parameter, gradient, velocity, rate = parameters[j], gradients[j], velocities[j], rates[j]
        for i in range(cuda.grid(1), parameter.size, cuda.gridsize(1)):
            v = momentum * velocity[i] - rate * gradient[i]
            velocity[i] = v
            parameter[i] += v
