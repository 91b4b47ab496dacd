"""Stochastic gradient descent with classical momentum and a learning rate that falls linearly to 0.

v <- mu v - eta g, theta <- theta + v (spec, "One layer, training", step 7).
"""

import numpy as np


class SGD:
    """Momentum's velocities, one a parameter, and the step that uses them.

    parameters: {name: array}, updated in place. velocities: {name: array} to go on from, or None
    for zeros. rate_scales: {name: factor on the learning rate}, 1 where a name is missing.
    """

    def __init__(self, backend, parameters, momentum, velocities=None, rate_scales=None):
        self.backend = backend
        self.parameters = parameters
        self.momentum = momentum
        self.rate_scales = rate_scales or {}
        self.velocities = velocities or {
            name: np.zeros_like(value) for name, value in parameters.items()
        }

    def step(self, gradients, learning_rate):
        """One update of every parameter that has a gradient."""
        for name, gradient in gradients.items():
            self.backend.sgd_momentum_(
                self.parameters[name],
                gradient,
                self.velocities[name],
                learning_rate * self.rate_scales.get(name, 1.0),
                self.momentum,
            )


def falling_rate(learning_rate, step, n_steps):
    """The learning rate at `step` of `n_steps`, falling on a line from `learning_rate` to 0."""
    return learning_rate * (1 - step / n_steps)
