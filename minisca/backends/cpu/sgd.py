"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v.

And the projection that may follow a step: filters of length 1 (K-SVD keeps its atoms like that).
"""

import numpy as np

from minisca.backends.cpu.runtime import ceil_div, in_parallel, kernel, operation, share
from minisca.backends.cpu.winners import winners_backward

#: Numbers of a parameter that are one piece of work.
PIECE = 1 << 16


@operation
def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`."""
    if isinstance(parameter, list):
        for each in zip(parameter, gradient, velocity, learning_rate, strict=True):
            _update(*each, momentum)
    else:
        _update(parameter, gradient, velocity, learning_rate, momentum)


def _update(parameter, gradient, velocity, learning_rate, momentum):
    number = parameter.dtype.type
    pieces = ceil_div(parameter.size, PIECE)
    flat = [array.reshape(-1) for array in (parameter, gradient, velocity)]
    in_parallel(_step, pieces, pieces, *flat, number(learning_rate), number(momentum))


@kernel
def _step(piece, pieces, parameter, gradient, velocity, learning_rate, momentum):
    first, end = share(piece, pieces, len(parameter))
    for i in range(first, end):
        v = momentum * velocity[i] - learning_rate * gradient[i]
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


@operation
def normalise_filters_(filters):
    """See `minisca.backends.interface.Backend.normalise_filters_`."""
    in_parallel(_normalise, len(filters), filters.reshape(len(filters), -1))


@kernel(error_model="numpy")  # no check of divisors: all are above 0
def _normalise(i, filters):
    weights = filters[i]
    largest = weights.dtype.type(0)
    for j in range(len(weights)):
        if abs(weights[j]) > largest:
            largest = abs(weights[j])
    if largest == 0:
        return
    for j in range(len(weights)):
        weights[j] /= largest
    norm = np.sqrt(_squared(weights))
    for j in range(len(weights)):
        weights[j] /= norm


@kernel(fastmath={"reassoc"})  # the sum may be taken in vectors
def _squared(weights):
    total = weights.dtype.type(0)
    for j in range(len(weights)):
        total += weights[j] * weights[j]
    return total
