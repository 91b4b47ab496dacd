"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import to_device, to_host
from minisca.backends.numba_cuda.runtime.arrays import flat, operation
from minisca.backends.numba_cuda.runtime.launching import launch_over
from minisca.backends.numba_cuda.winners import winners_backward


@operation
def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`. Host arrays are changed in place."""
    if not isinstance(parameter, list):
        parameter, gradient, velocity = [parameter], [gradient], [velocity]
        learning_rate = [learning_rate]
    number = parameter[0].dtype.type
    given = list(zip(parameter, gradient, velocity, strict=True))
    arrays = [[to_device(array) for array in each] for each in given]
    kinds = [tuple(flat(*kind)) for kind in zip(*arrays, strict=True)]
    if isinstance(learning_rate, list):
        rates = tuple(map(number, learning_rate))
    else:
        rates = to_device(learning_rate)
    size = sum(values.size for values, _, _ in arrays)
    launch_over(_sgd_momentum, size, *kinds, rates, number(momentum))
    for (values, _, velocity), (new_values, _, new_velocity) in zip(given, arrays, strict=True):
        if isinstance(values, np.ndarray):
            values[...], velocity[...] = to_host(new_values), to_host(new_velocity)


@cuda.jit
def _sgd_momentum(parameters, gradients, velocities, rates, momentum):
    """Tuples of arrays, one launch: a layer's parameters are small, and a launch costs more."""
    for j in range(len(parameters)):
        parameter, gradient, velocity, rate = parameters[j], gradients[j], velocities[j], rates[j]
        for i in range(cuda.grid(1), parameter.size, cuda.gridsize(1)):
            v = momentum * velocity[i] - rate * gradient[i]
            velocity[i] = v
            parameter[i] += v


@operation
def winners_update_(
    x,
    error,
    values,
    positions,
    encoder_filters,
    encoder_bias,
    decoder_filters,
    decoder_bias,
    encoder_filters_velocity,
    encoder_bias_velocity,
    decoder_filters_velocity,
    decoder_bias_velocity,
    learning_rates,
    momentum,
    maps=None,
):
    """See `minisca.backends.interface.Backend.winners_update_`."""
    parameters = [encoder_filters, encoder_bias, decoder_filters, decoder_bias]
    velocities = [
        *(encoder_filters_velocity, encoder_bias_velocity),
        *(decoder_filters_velocity, decoder_bias_velocity),
    ]
    gradients = winners_backward(
        x, error, values, positions, encoder_filters, decoder_filters, maps
    )
    sgd_momentum_(parameters, list(gradients), velocities, learning_rates, momentum)
