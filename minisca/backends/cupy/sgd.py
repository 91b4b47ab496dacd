"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

import contextlib

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
    if not isinstance(learning_rate, list):
        learning_rate = to_device(learning_rate)
    gradient = [to_device(array) for array in gradient]
    with _changed(parameter) as parameter, _changed(velocity) as velocity:
        _update(gradient, parameter, velocity, learning_rate, momentum)


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

    Where the images are cut into pieces, the update adds up their gradients itself; of one piece,
    the walks that sum up the gradients do the update.
    """
    parameters = [encoder_filters, encoder_bias, decoder_filters, decoder_bias]
    velocities = [
        *(encoder_filters_velocity, encoder_bias_velocity),
        *(decoder_filters_velocity, decoder_bias_velocity),
    ]
    with _changed(parameters) as parameters, _changed(velocities) as velocities:
        code, filters = (x, error, values, positions), parameters[2]
        step = parameters, velocities, learning_rates, momentum
        walks = patches.plan_walks(*code, filters, maps)
        if walks is None:
            _update(winners_backward(*code, parameters[0], filters, maps), *step)
        elif walks.may_update:
            patches.update_(walks, *step)
        else:
            parts = patches.sum_in_pieces(walks)
            numbers = parts.reshape(-1)
            gradients = [numbers[offset:] for offset in patches.offsets(filters.shape)]
            _update(gradients, *step, *parts.shape)


@contextlib.contextmanager
def _changed(arrays):
    """Arrays of the device in place of `arrays`, into which those of the host are read back."""
    there = [to_device(array) for array in arrays]
    yield there
    for array, new in zip(arrays, there, strict=True):
        if isinstance(array, np.ndarray):
            array[...] = to_host(new)


def _update(gradients, parameters, velocities, rates, momentum, pieces=1, stride=0):
    """A gradient is the sum of that and of others, `pieces` in all, each `stride` numbers on."""
    arrays = list(zip(parameters, gradients, velocities, strict=True))
    for first in range(0, len(arrays), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        _launch(arrays[some], rates[some], momentum, pieces, stride)


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
