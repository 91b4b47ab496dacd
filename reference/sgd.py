"""Stochastic gradient descent with classical momentum, one coordinate at a time.

Section 2 of arXiv 1409.2752v1 minimises the squared error without naming a rule; this is Polyak's.
"""

import numpy as np

from reference.winners import winners_backward


def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    if isinstance(parameter, list):
        for each in zip(parameter, gradient, velocity, learning_rate, strict=True):
            sgd_momentum_(*each, momentum)
        return
    for coordinate in np.ndindex(parameter.shape):
        v = momentum * float(velocity[coordinate]) - learning_rate * float(gradient[coordinate])
        velocity[coordinate] = v
        parameter[coordinate] = float(parameter[coordinate]) + v


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
    parameters = [encoder_filters, encoder_bias, decoder_filters, decoder_bias]
    velocities = [
        *(encoder_filters_velocity, encoder_bias_velocity),
        *(decoder_filters_velocity, decoder_bias_velocity),
    ]
    gradients = winners_backward(
        x, error, values, positions, encoder_filters, decoder_filters, maps
    )
    sgd_momentum_(parameters, list(gradients), velocities, list(learning_rates), momentum)
