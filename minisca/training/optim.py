"""Stochastic gradient descent with classical momentum, and the schedule of its learning rate.

v <- mu v - eta g, theta <- theta + v (paper section 2).
"""

import numpy as np

#: How the learning rate goes after the warm-up: its factor when a part of all steps is done.
SCHEDULES = {
    "linear": lambda done: 1 - done,
    "constant": lambda done: 1,
}


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

    def rates(self, learning_rate):
        """{name: rate}: every parameter's own."""
        return {name: learning_rate * self.rate_scales.get(name, 1.0) for name in self.parameters}

    def step(self, gradients, learning_rate):
        """One update of every parameter that has a gradient, all in one call.

        learning_rate: a float, or the values of its `rates` as an array where the backend computes;
        then every parameter has a gradient.
        """
        if getattr(learning_rate, "ndim", 0) == 0:
            names, of_all = list(gradients), self.rates(learning_rate)
            rates = [of_all[name] for name in names]
        else:
            names, rates = list(self.parameters), learning_rate
        self.backend.sgd_momentum_(
            [self.parameters[name] for name in names],
            [gradients[name] for name in names],
            [self.velocities[name] for name in names],
            rates,
            self.momentum,
        )

    def step_by_survivors(self, x, error, code, learning_rates):
        """`step` by the gradients of a layer's code, by `winners_backward`, in one operation.

        The parameters are a layer's four, in their order. learning_rates: an array, as of `step`.
        """
        values, positions, maps = code
        velocities = (self.velocities[name] for name in self.parameters)
        arrays = *self.parameters.values(), *velocities
        self.backend.winners_update_(
            x, error, values, positions, *arrays, learning_rates, self.momentum, maps
        )

    def all_finite(self):
        """Whether no parameter is NaN or infinite."""
        return all(map(self.backend.all_finite, self.parameters.values()))

    def on_host(self):
        """Parameters and velocities, {name: NumPy array} each; see `keep_apart`."""
        return [
            {name: self.backend.to_host(array) for name, array in arrays.items()}
            for arrays in (self.parameters, self.velocities)
        ]

    def keep_apart(self, made):
        """Let nothing that `on_host` made change any more: whoever has it may keep it."""
        for own, kept in zip((self.parameters, self.velocities), made, strict=True):
            _keep_apart(self.backend, own, kept)


def own_copies(backend, arrays):
    """{name: array} where `backend` computes, and nobody else's."""
    there = {name: backend.to_device(array) for name, array in arrays.items()}
    _keep_apart(backend, there, arrays)
    return there


def _keep_apart(backend, own, others):
    """Replace in `own`, {name: array}, what has the memory of an array of `others` by a copy."""
    for name, array in own.items():
        if isinstance(array, np.ndarray) and np.may_share_memory(array, others[name]):
            own[name] = backend.copy(array)


def scheduled_rate(learning_rate, step, n_steps, warmup_steps=0, schedule="linear"):
    """The learning rate at `step` of `n_steps`, from 0: a rise over the warm-up, on a fall.

    The rise is linear and takes `warmup_steps`, but at most a fifth of all steps. The fall, which
    begins with the first step, is one of `SCHEDULES`: to 0 at the end on a line, or none.
    """
    warmup = min(warmup_steps, n_steps // 5)
    rise = min(1, (step + 1) / (warmup + 1))
    return learning_rate * rise * SCHEDULES[schedule](step / n_steps)
