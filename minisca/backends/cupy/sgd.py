"""Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v."""

import numpy as np

from minisca.backends.cupy import device
from minisca.backends.cupy.device import launch_over, on_device, to_host


def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    """See `minisca.backends.interface.Backend.sgd_momentum_`. Host arrays are changed in place."""
    number = parameter.dtype.type
    arrays = on_device(parameter, gradient, velocity)
    launch_over(
        parameter.size, "sgd.cu", "sgd_momentum", device.options(parameter.dtype),
        (*arrays, number(learning_rate), number(momentum)),
    )  # fmt: skip
    for given, changed in ((parameter, arrays[0]), (velocity, arrays[2])):
        if isinstance(given, np.ndarray) and changed is not given:
            given[...] = to_host(changed)
