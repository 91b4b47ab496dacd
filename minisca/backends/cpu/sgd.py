"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

from numba import njit

from minisca.backends.cpu.arrays import share
from minisca.backends.cpu.parallel import in_parallel

#: Numbers of a parameter that are one piece of work.
PIECE = 1 << 16


def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`."""
    if isinstance(parameter, list):
        for each in zip(parameter, gradient, velocity, learning_rate, strict=True):
            sgd_momentum_(*each, momentum)
        return
    number = parameter.dtype.type
    pieces = -(-parameter.size // PIECE)
    in_parallel(
        _step, pieces, parameter.reshape(-1), gradient.reshape(-1), velocity.reshape(-1), pieces,
        number(learning_rate), number(momentum),
    )  # fmt: skip


@njit(cache=True)
def _step(piece, parameter, gradient, velocity, pieces, learning_rate, momentum):
    first, end = share(piece, pieces, len(parameter))
    for i in range(first, end):
        v = momentum * velocity[i] - learning_rate * gradient[i]
        velocity[i] = v
        parameter[i] += v
