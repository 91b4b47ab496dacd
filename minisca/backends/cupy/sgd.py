"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

import numpy as np

from minisca.backends.cupy.device import to_device, to_host
from minisca.backends.cupy.kernels import patches
from minisca.backends.cupy.runtime.arrays import operation
from minisca.backends.cupy.runtime.launching import kernel, launch_over
from minisca.backends.cupy.winners import winners_backward

FILE = "sgd.cu"
#: Parameters that a launch updates, at most (kernels/sgd.cu).
AT_ONCE = 4


@operation
def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`. Host arrays are changed in place."""
    if not isinstance(parameter, list):
        parameter, gradient, velocity = [parameter], [gradient], [velocity]
        learning_rate = [learning_rate]
    _update(parameter, gradient, velocity, learning_rate, momentum)


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
    """See `minisca.backends.interface.Backend.winners_update_`. Host arrays are changed in place.

    Where the images are cut into pieces, the update adds up their gradients itself.
    """
    parameters = [encoder_filters, encoder_bias, decoder_filters, decoder_bias]
    velocities = [
        *(encoder_filters_velocity, encoder_bias_velocity),
        *(decoder_filters_velocity, decoder_bias_velocity),
    ]
    code, filters = (x, error, values, positions), to_device(decoder_filters)
    parts = patches.sum_in_pieces(*code, filters, maps)
    if parts is None:
        gradients = winners_backward(*code, encoder_filters, filters, maps)
        _update(parameters, gradients, velocities, learning_rates, momentum)
    else:
        numbers = parts.reshape(-1)
        gradients = [numbers[start:] for start in patches.starts(filters.shape)]
        _update(parameters, gradients, velocities, learning_rates, momentum, *parts.shape)


def _update(parameter, gradient, velocity, learning_rate, momentum, pieces=1, stride=0):
    """Of lists. A gradient is the sum of that and of others, each `stride` numbers further on."""
    given = list(zip(parameter, gradient, velocity, strict=True))
    arrays = [[to_device(array) for array in each] for each in given]
    if not isinstance(learning_rate, list):
        learning_rate = to_device(learning_rate)
    for first in range(0, len(given), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        _launch(arrays[some], learning_rate[some], momentum, pieces, stride)
    for (values, _, velocity), (new_values, _, new_velocity) in zip(given, arrays, strict=True):
        if isinstance(values, np.ndarray):
            values[...], velocity[...] = to_host(new_values), to_host(new_velocity)


def _launch(arrays, rates, momentum, pieces, stride):
    """One launch; what is missing of AT_ONCE parameters is the last of them once more, empty."""
    number, end, args = arrays[0][0].dtype.type, 0, []
    there = not isinstance(rates, list)
    for j, each in enumerate(arrays):
        end += each[0].size
        args += [*each, rates[j : j + 1] if there else number(rates[j]), np.int64(end)]
    args += args[-5:] * (AT_ONCE - len(arrays))
    macros = {"RATES_ON_DEVICE": 1} if there else {}
    name = "sgd_momentum"
    if pieces > 1:
        name, args = "sgd_momentum_of_pieces", [*args, pieces, np.int64(stride)]
    launch_over(kernel(FILE, name, number, **macros), end, *args, number(momentum))
