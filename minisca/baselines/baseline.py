"""What every baseline shares: an estimator that learned from images (n, c, h, w) of one size."""

from functools import partial
from typing import ClassVar

import numpy as np

from minisca.backends import get_backend
from minisca.estimator import Estimator
from minisca.training.fit import Task, run_epochs
from minisca.training.optim import SGD, own_copies, scheduled_rate
from minisca.validation import check_fitted, check_images, check_integer


def _check_size(name, size):
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ValueError(f"{name} is {size!r}; it must be (height, width)")
    height, width = size
    return check_integer("height", height), check_integer("width", width)


class Baseline(Estimator):
    """An estimator with `verbose` whose `fit` sets `n_channels_` and `image_size_`.

    A subclass defines `fit` and `transform`.
    """

    _learned_numbers: ClassVar = {"n_channels": check_integer, "image_size": _check_size}

    def fit_transform(self, X, y=None):
        """`fit(X, y)`, then `transform(X)`."""
        return self.fit(X, y).transform(X)

    def _check_new(self, X):
        """Images X like those of `fit`, or an exception that says what is wrong with them."""
        self._check_as_fitted()
        return check_images(X, channels=self.n_channels_, size=self.image_size_)

    def _check_as_fitted(self):
        """Refuse to work without `fit`, or with what the parameters no longer describe."""
        check_fitted(self, f"{self._main}_")
        self.check_parameters()
        for name, shape in self._learned_shapes().items():
            found = np.shape(getattr(self, f"{name}_"))
            sides = zip(shape, found, strict=False)
            if any(isinstance(side, int) and side != n for side, n in sides):
                must = f"the parameters, changed since fit, ask for {shape}: call fit again"
                raise ValueError(f"{name}_ has shape {found}; {must}")
        super()._check_as_fitted()


def of_images(X):
    """What a baseline remembers of the images (n, c, h, w) that it learns from."""
    n_channels, *size = map(int, X.shape[1:])
    return {"n_channels_": n_channels, "image_size_": tuple(size)}


def descend(estimator, n, read, loss_and_gradients, rate_scales, random):
    """Train `estimator` by stochastic gradient descent at a rate that falls linearly to 0.

    It has the settings that `check_training_settings` checks; after every epoch its `loss_history_`
    grows and its arrays that `rate_scales`, {name: factor on the learning rate}, names are
    replaced. n, read: as of `Task`. loss_and_gradients: from {name: array} of the parameters, a
    batch and the number of the epoch to the mean loss and {name: gradient}, all on the host. Raises
    DivergenceError when the loss or a parameter stops being finite.
    """
    backend = get_backend(estimator.backend)
    parameters = {name: getattr(estimator, f"{name}_") for name in rate_scales}
    velocities = {name: np.zeros_like(array) for name, array in parameters.items()}
    trained, velocities = (own_copies(backend, arrays) for arrays in (parameters, velocities))
    optimiser = SGD(backend, trained, estimator.momentum, velocities, rate_scales)

    def step(batch, epoch, learning_rate):
        there = {name: backend.to_host(array) for name, array in trained.items()}
        loss, gradients = loss_and_gradients(there, batch, epoch)
        there = {name: backend.to_device(array) for name, array in gradients.items()}
        optimiser.step(there, learning_rate)
        return loss

    task = Task(n, read, step, partial(scheduled_rate, estimator.learning_rate))
    epochs = range(estimator.n_epochs)
    for loss, parameters, _ in run_epochs(estimator, optimiser, task, random, epochs):
        made = {f"{name}_": array for name, array in parameters.items()}
        made["loss_history_"] = np.append(estimator.loss_history_, loss)
        estimator._set_learned(**made)


def draw_normal(random, shape, scale, dtype):
    """Normally distributed numbers of standard deviation `scale`."""
    return (scale * random.standard_normal(shape)).astype(np.dtype(dtype))
