"""The arithmetic between operations (kernels/elements.cu): `minisca.backends.interface.Support`."""

import math

import numpy as np

from minisca.backends.cupy.device import empty, to_device, to_host
from minisca.backends.cupy.kernels import paste, slices, sums
from minisca.backends.cupy.runtime.arrays import operation
from minisca.backends.cupy.runtime.launching import THREADS, kernel, launch, launch_over
from minisca.backends.cupy.winners import decode_winners

FILE = "elements.cu"


@operation
def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    gathered = empty((len(rows), *images.shape[1:]), images.dtype)
    row_size = np.int64(math.prod(images.shape[1:]))
    args = images, rows, row_size, gathered
    launch_over(kernel(FILE, "gather", images.dtype), gathered.size, *args)
    return gathered


@operation
def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    error, parts = empty(x.shape, x.dtype), sums.empty_parts(x.size)
    subtract = kernel(FILE, "subtract_and_sum", x.dtype)
    args = x_hat, x, x.dtype.type(divisor), error, np.int64(x.size), parts
    launch(subtract, len(parts), THREADS, *args)
    return parts, error


@operation
def decoded_residual(values, positions, filters, bias, x, divisor=1, maps=None):
    """See `minisca.backends.interface.Support.decoded_residual`."""
    layout = slices.make_layout(x.shape, filters.shape[2], x.dtype)
    if maps is None and layout is not None:
        error = empty(x.shape, x.dtype)
        code = values, positions, filters, bias
        return paste.paste_and_subtract(layout, *code, x, divisor, error), error
    return residual(decode_winners(values, positions, filters, bias, x.shape[2:], maps), x, divisor)


@operation
def add_up_(total, parts, divisor=1):
    """See `minisca.backends.interface.Support.add_up_`. Host arrays are changed in place."""
    there = to_device(total)
    sums.add_up(there, parts, divisor)
    if isinstance(total, np.ndarray):
        total[...] = to_host(there)


@operation
def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    product = empty(array.shape, array.dtype)
    scale = kernel(FILE, "scale", array.dtype)
    launch_over(scale, array.size, array, array.dtype.type(factor), product)
    return product


@operation
def add_(array, other):
    """See `minisca.backends.interface.Support.add_`. Host arrays are changed in place."""
    there = to_device(array)
    launch_over(kernel(FILE, "add", there.dtype), there.size, there, other)
    if isinstance(array, np.ndarray):
        array[...] = to_host(there)


@operation
def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`: whether the squared norm is."""
    return math.isfinite(sums.squared_norm(array))
