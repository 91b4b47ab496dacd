"""The arithmetic between operations, on NumPy arrays: see `minisca.backends.interface.Support`."""

import numpy as np

from minisca.backends.cpu.runtime import in_parallel, kernel, operation, recycler
from minisca.backends.cpu.winners import decode_winners


@operation
def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    return images[rows]


@operation
def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    error = recycler.empty(x.shape, x.dtype)
    n = len(x) if x.ndim else 1
    losses = np.empty(n)
    flat = [array.reshape(n, -1) for array in (x_hat, x, error)]
    in_parallel(_residual, n, *flat, x.dtype.type(divisor), losses)
    return float(losses.sum()), error


@kernel(fastmath={"reassoc"})  # the sum of an image's squares may be taken in vectors
def _residual(i, x_hat, x, error, divisor, losses):
    total = 0.0
    for p in range(x.shape[1]):
        difference = x_hat[i, p] - x[i, p]
        total += np.float64(difference) * np.float64(difference)
        error[i, p] = difference / divisor
    losses[i] = total


@operation
def decoded_residual(values, positions, filters, bias, x, divisor=1, maps=None):
    """See `minisca.backends.interface.Support.decoded_residual`."""
    return residual(decode_winners(values, positions, filters, bias, x.shape[2:], maps), x, divisor)


@operation
def add_up_(total, parts, divisor=1):
    """See `minisca.backends.interface.Support.add_up_`."""
    total[0] = parts.sum() / divisor


@operation
def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    return array * factor


@operation
def add_(array, other):
    """See `minisca.backends.interface.Support.add_`."""
    array += other


@operation
def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`."""
    return bool(np.isfinite(array).all())
