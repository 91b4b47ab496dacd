"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

from numba import njit, prange


def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`."""
    number = parameter.dtype.type
    _step(
        parameter.reshape(-1), gradient.reshape(-1), velocity.reshape(-1),
        number(learning_rate), number(momentum),
    )  # fmt: skip


@njit(parallel=True, cache=True)
def _step(parameter, gradient, velocity, learning_rate, momentum):
    for i in prange(len(parameter)):
        v = momentum * velocity[i] - learning_rate * gradient[i]
        velocity[i] = v
        parameter[i] += v
