"""The arithmetic between operations, on NumPy arrays: see `minisca.backends.interface.Support`."""

import numpy as np

from minisca.objective import squared_norm


def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    return images[rows]


def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    error = x_hat - x
    loss = squared_norm(error)
    if divisor != 1:
        error /= divisor
    return loss, error


def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    return array * factor


def add_(array, other):
    """See `minisca.backends.interface.Support.add_`."""
    array += other


def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`."""
    return bool(np.isfinite(array).all())
