"""The arithmetic between operations, one thread a number, and of rows of features.

See `minisca.backends.interface`: `Support`, and of rows `Backend`.
"""

import math

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import empty, to_device, to_host
from minisca.backends.numba_cuda.kernels import linear as kernels
from minisca.backends.numba_cuda.kernels import rows as of_rows
from minisca.backends.numba_cuda.kernels.reduce import group_sum
from minisca.backends.numba_cuda.kernels.sums import add_up, channel_sums, parts_of, squared_norm
from minisca.backends.numba_cuda.runtime.arrays import flat, operation, zeros
from minisca.backends.numba_cuda.runtime.launching import launch_blocks, launch_over
from minisca.backends.numba_cuda.winners import decode_winners
from minisca.backends.operands import check_cast
from minisca.chunks import ceil_div


@operation
def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    gathered = empty((rows.shape[0], *images.shape[1:]), images.dtype)
    by_row, gathered_by_row = (
        array.reshape((array.shape[0], array.size // array.shape[0]))
        for array in (images, gathered)
    )
    launch_over(_gather, gathered.size, by_row, rows, gathered_by_row)
    return gathered


@cuda.jit
def _gather(images, rows, gathered):
    row_size = images.shape[1]
    for i in range(cuda.grid(1), gathered.size, cuda.gridsize(1)):
        gathered[i // row_size, i % row_size] = images[rows[i // row_size], i % row_size]


def cast(array, dtype, centre=None):
    """See `minisca.backends.interface.Support.cast`."""
    array, dtype, centre = check_cast(array, dtype, centre, to_device)
    if centre is None and array.dtype == dtype:
        return array
    made = empty(array.shape, dtype)
    channels = array.shape[1] if centre is not None else 1
    if centre is None:
        centre = zeros(1, np.float64 if dtype == np.float64 else np.float32)
    plane_size = math.prod(array.shape[2:]) if array.ndim > 1 else 1
    launch_over(_cast, array.size, *flat(array, centre, made), plane_size, channels)
    return made


@cuda.jit
def _cast(array, centre, made, plane_size, channels):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        own = centre.dtype.type(array[i]) - centre[i // plane_size % channels]
        made[i] = made.dtype.type(own)


@operation
def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    error = empty(x.shape, x.dtype)
    numbers = flat(x_hat, x, error)
    return parts_of(_subtract_and_sum, *numbers, x.dtype.type(divisor)), error


@cuda.jit
def _subtract_and_sum(x_hat, x, error, divisor, parts):
    """A block a part."""
    shared = cuda.shared.array(0, parts.dtype)
    n_threads = cuda.blockDim.x
    for part in range(cuda.blockIdx.x, parts.size, cuda.gridDim.x):
        total = 0.0
        first = part * n_threads + cuda.threadIdx.x
        for i in range(first, x.size, parts.size * n_threads):
            difference = x_hat[i] - x[i]
            total += np.float64(difference) * np.float64(difference)
            error[i] = difference / divisor
        total = group_sum(total, shared)
        if cuda.threadIdx.x == 0:
            parts[part] = total


@operation
def decoded_residual(values, positions, filters, bias, x, divisor=1, maps=None):
    """See `minisca.backends.interface.Support.decoded_residual`."""
    return residual(decode_winners(values, positions, filters, bias, x.shape[2:], maps), x, divisor)


@operation
def add_up_(total, parts, divisor=1):
    """See `minisca.backends.interface.Support.add_up_`. Host arrays are changed in place."""
    there = to_device(total)
    add_up(there, parts, divisor)
    if isinstance(total, np.ndarray):
        total[...] = to_host(there)


@operation
def scaled(array, factor):
    """See `minisca.backends.interface.Support.scaled`."""
    product = empty(array.shape, array.dtype)
    launch_over(_scale, array.size, *flat(array, product), array.dtype.type(factor))
    return product


@cuda.jit
def _scale(array, product, factor):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        product[i] = factor * array[i]


@operation
def add_(array, other):
    """See `minisca.backends.interface.Support.add_`. Host arrays are changed in place."""
    there = to_device(array)
    launch_over(_add, there.size, *flat(there, other))
    if isinstance(array, np.ndarray):
        array[...] = to_host(there)


@cuda.jit
def _add(array, other):
    for i in range(cuda.grid(1), array.size, cuda.gridsize(1)):
        array[i] += other[i]


@operation
def all_finite(array):
    """See `minisca.backends.interface.Support.all_finite`: whether the squared norm is."""
    return math.isfinite(squared_norm(array))


@operation
def linear(features, weights, intercept):
    """See `minisca.backends.interface.Backend.linear`."""
    n, n_classes = features.shape[0], weights.shape[0]
    scores = empty((n, n_classes), weights.dtype)
    n_blocks = ceil_div(n, kernels.ROWS) * ceil_div(n_classes, kernels.CLASSES)
    args = features, weights, intercept, scores
    launch_blocks(kernels.linear, n_blocks, *args, dtype=weights.dtype)
    return scores


@operation
def linear_backward(features, d_scores):
    """See `minisca.backends.interface.Backend.linear_backward`."""
    (n, n_features), n_classes = features.shape, d_scores.shape[1]
    pieces = min(n, kernels.PIECES)
    parts = empty((pieces, n_classes, n_features), d_scores.dtype)
    launch_over(kernels.multiply_rows, pieces * n_features, features, d_scores, parts)
    d_weights = empty((n_classes, n_features), d_scores.dtype)
    of_pieces = parts.reshape((pieces, n_classes * n_features))
    launch_over(kernels.sum_pieces, d_weights.size, of_pieces, *flat(d_weights))
    return d_weights, channel_sums(d_scores.reshape((n, n_classes, 1, 1)))


@operation
def squared_hinge(scores, classes):
    """See `minisca.backends.interface.Backend.squared_hinge`."""
    return _losses(kernels.squared_hinge, scores, classes)


@operation
def cross_entropy(scores, classes):
    """See `minisca.backends.interface.Backend.cross_entropy`."""
    return _losses(kernels.cross_entropy, scores, classes)


def _losses(kernel, scores, classes):
    losses, d_scores = empty(scores.shape[0], np.float64), empty(scores.shape, scores.dtype)
    launch_over(kernel, losses.size, scores, classes, losses, d_scores)
    return losses, d_scores


@operation
def row_squares(features):
    """See `minisca.backends.interface.Backend.row_squares`."""
    squares = empty(features.shape[0], np.float64)
    args = features, squares
    launch_blocks(kernels.square_rows, squares.size, *args, dtype=squares.dtype)
    return squares


@operation
def contrast_normalised(features, epsilon):
    """See `minisca.backends.interface.Backend.contrast_normalised`."""
    normalised = empty(features.shape, features.dtype)
    args = features, to_device(np.full(1, epsilon)), normalised
    launch_blocks(of_rows.normalise_rows, features.shape[0], *args, dtype=np.float64)
    return normalised


@operation
def nearest(points, centres):
    """See `minisca.backends.interface.Backend.nearest`."""
    half_norms = (to_host(row_squares(centres)) / -2).astype(points.dtype)
    nearness = linear(points, centres, half_norms)
    labels, distances = empty(points.shape[0], np.int32), empty(points.shape[0], points.dtype)
    launch_over(of_rows.choose_nearest, labels.size, nearness, points, centres, labels, distances)
    return labels, distances
