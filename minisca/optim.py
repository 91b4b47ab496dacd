"""Stochastic gradient descent with classical momentum, and the schedule of its learning rate.

v <- mu v - eta g, theta <- theta + v (paper section 2).
"""

from contextlib import contextmanager

import numpy as np


class SGD:
    """Momentum's velocities, one a parameter, and the step that uses them.

    parameters: {name: array of the backend}, updated in place. velocities: {name: array} to go on
    from, or None for zeros, where the parameters are NumPy arrays. rate_scales: {name: factor on
    the learning rate}, 1 where a name is missing.
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
        """One update of every parameter that has a gradient, all in one call."""
        self.backend.sgd_momentum_(
            [self.parameters[name] for name in gradients],
            list(gradients.values()),
            [self.velocities[name] for name in gradients],
            [learning_rate * self.rate_scales.get(name, 1.0) for name in gradients],
            self.momentum,
        )

    @contextmanager
    def all_or_nothing(self):
        """Steps within the block are undone, velocities too, if anything stops it."""
        arrays = [*self.parameters.values(), *self.velocities.values()]
        before = [self.backend.copy(array) for array in arrays]
        try:
            yield
        except BaseException:
            for array, value in zip(arrays, before, strict=True):
                self.backend.copy_into_(array, value)
            raise


def scheduled_rate(learning_rate, step, n_steps, warmup_steps=0):
    """The learning rate at `step` of `n_steps`: a rise over the warm-up, on a fall to 0 at the end.

    Both are linear. The warm-up takes `warmup_steps`, but at most a fifth of all steps.
    """
    warmup = min(warmup_steps, n_steps // 5)
    rise = min(1, (step + 1) / (warmup + 1))
    return learning_rate * rise * (1 - step / n_steps)
