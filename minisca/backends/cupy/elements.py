"""The arithmetic between operations (kernels/elements.cu): `minisca.backends.interface.Support`."""

import math

import numpy as np

from minisca.backends.cupy import device
from minisca.backends.cupy.device import empty, launch, launch_over, on_device, to_device, to_host
from minisca.backends.cupy.kernels.sums import ENOUGH_BLOCKS, squared_norm, sum_pieces

FILE = "elements.cu"


def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    images, rows = on_device(images, rows)
    gathered = empty((len(rows), *images.shape[1:]), images.dtype)
    launch_over(
        gathered.size, FILE, "gather", device.options(images.dtype),
        (images, rows, np.int64(math.prod(images.shape[1:])), gathered),
    )  # fmt: skip
    return gathered


def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    x_hat, x = on_device(x_hat, x)
    error = empty(x.shape, x.dtype)
    blocks = min(ENOUGH_BLOCKS, -(-x.size // device.THREADS))
    parts = empty((blocks, 1), np.float64)
    launch(
        FILE, "subtract_and_sum", device.options(x.dtype), blocks, device.THREADS,
        (x_hat, x, x.dtype.type(divisor), error, np.int64(x.size), parts),
    )  # fmt: skip
    return float(to_host(sum_pieces(parts))[0]), error


def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    array = to_device(array)
    product = empty(array.shape, array.dtype)
    launch_over(
        array.size, FILE, "scale", device.options(array.dtype),
        (array, array.dtype.type(factor), product),
    )  # fmt: skip
    return product


def add_(array, other):
    """See `minisca.backends.interface.Support.add_`."""
    launch_over(array.size, FILE, "add", device.options(array.dtype), (array, other))


def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`: whether the squared norm is."""
    return math.isfinite(squared_norm(array))
