"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

from minisca.backends.cpu.runtime import ceil_div, in_parallel, kernel, operation, share
from minisca.backends.cpu.winners import winners_backward

#: Numbers of the parameters that are one piece of work.
PIECE = 1 << 16
#: Numbers of the velocity that are computed before they are added to the parameter. Large arrays
#: begin at the same place of a page. Read side by side, two of them may want the same line of the
#: first-level cache at every number, which takes three times as long.
AT_A_TIME = 1 << 11


@operation
def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`."""
    arrays, rates = (parameter, gradient, velocity), learning_rate
    if not isinstance(parameter, list):
        arrays, rates = [[array] for array in arrays], [rates]
    dtypes = [array.dtype for array in arrays[0]]
    for dtype in set(dtypes):
        own = [place for place, each in enumerate(dtypes) if each == dtype]
        flat = [tuple(of_all[place].reshape(-1) for place in own) for of_all in arrays]
        own_rates = tuple(dtype.type(rates[place]) for place in own)
        pieces = ceil_div(sum(map(len, flat[0])), PIECE)
        in_parallel(_step, pieces, pieces, *flat, own_rates, dtype.type(momentum))


@kernel
def _step(piece, pieces, parameters, gradients, velocities, learning_rates, momentum):
    """A piece of every parameter, one after another: tuples of flat arrays and of their rates."""
    for own in range(len(parameters)):
        parameter, gradient, velocity = parameters[own], gradients[own], velocities[own]
        learning_rate = learning_rates[own]
        first, end = share(piece, pieces, len(parameter))
        for start in range(first, end, AT_A_TIME):
            stop = min(start + AT_A_TIME, end)
            for i in range(start, stop):
                velocity[i] = momentum * velocity[i] - learning_rate * gradient[i]
            for i in range(start, stop):
                parameter[i] += velocity[i]


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
