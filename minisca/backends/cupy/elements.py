"""The arithmetic between operations (kernels/elements.cu, items.cu), and of rows of features.

See `minisca.backends.interface`: `Support`, and of rows (linear.cu, rows.cu) `Backend`.
"""

import math

import numpy as np

from minisca.backends.cupy.device import empty, to_device, to_host
from minisca.backends.cupy.kernels import paste, slices, sums
from minisca.backends.cupy.runtime.arrays import operation
from minisca.backends.cupy.runtime.launching import THREADS, WARP, kernel, launch, launch_over
from minisca.backends.cupy.winners import decode_winners
from minisca.backends.operands import check_cast
from minisca.chunks import ceil_div

FILE = "elements.cu"
#: As kernels/linear.cu has them: threads of a block, rows of a warp, features of a thread, and
#: classes of a group.
LINEAR_THREADS, ROWS, COLUMNS, CLASSES = 128, 4, 4, 16


@operation
def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    gathered = empty((len(rows), *images.shape[1:]), images.dtype)
    row_size = np.int64(math.prod(images.shape[1:]))
    args = images, rows, row_size, gathered
    launch_over(_of_items("gather", images.dtype, images.dtype), gathered.size, *args)
    return gathered


def cast(array, dtype, centre=None):
    """See `minisca.backends.interface.Support.cast`."""
    array, dtype, centre = check_cast(array, dtype, centre, to_device)
    if centre is None and array.dtype == dtype:
        return array
    made, channels = empty(array.shape, dtype), array.shape[1] if centre is not None else 0
    number = np.dtype(np.float32 if dtype == np.float16 else dtype)
    centre = empty(0, number) if centre is None else centre
    args = array, centre, np.int64(math.prod(array.shape[2:])), channels, made
    launch_over(_of_items("cast", array.dtype, dtype), array.size, *args)
    return made


def _of_items(name, stored, dtype):
    """A kernel of items.cu, for numbers stored in one dtype that become those of another."""
    item = {"uint8": "unsigned char", "float16": "unsigned short", "float32": "float"}
    macros = {"TO_HALVES": 1} if dtype == np.float16 else {}
    number = np.float64 if dtype == np.float64 else np.float32
    return kernel("items.cu", name, number, ITEM=item.get(stored.name, "double"), **macros)


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


@operation
def linear(features, weights, intercept):
    """See `minisca.backends.interface.Backend.linear`."""
    (n, n_features), n_classes = features.shape, len(weights)
    scores, n_groups = empty((n, n_classes), weights.dtype), ceil_div(n_classes, CLASSES)
    n_blocks = ceil_div(n, LINEAR_THREADS // WARP * ROWS) * n_groups
    sizes = np.int64(n), n_features, n_classes, n_groups
    multiply = _of_features("linear", features, weights.dtype)
    launch(multiply, n_blocks, LINEAR_THREADS, features, weights, intercept, *sizes, scores)
    return scores


@operation
def linear_backward(features, d_scores):
    """See `minisca.backends.interface.Backend.linear_backward`."""
    (n, n_features), n_classes = features.shape, d_scores.shape[1]
    n_groups = ceil_div(n_classes, CLASSES)
    n_blocks = ceil_div(n_features, LINEAR_THREADS * COLUMNS) * n_groups
    rows_of_piece, pieces = sums.cut(n, n_blocks)
    parts = empty((pieces, n_classes, n_features), d_scores.dtype)
    sizes = np.int64(n), n_features, n_classes, n_groups, n_blocks, rows_of_piece
    multiply = _of_features("multiply_rows", features, d_scores.dtype)
    launch(multiply, pieces * n_blocks, LINEAR_THREADS, features, d_scores, *sizes, parts)
    return sums.sum_pieces(parts), sums.channel_sums(d_scores.reshape(n, n_classes, 1, 1))


@operation
def squared_hinge(scores, classes):
    """See `minisca.backends.interface.Backend.squared_hinge`."""
    return _losses("squared_hinge", scores, classes)


@operation
def cross_entropy(scores, classes):
    """See `minisca.backends.interface.Backend.cross_entropy`."""
    return _losses("cross_entropy", scores, classes)


def _losses(name, scores, classes):
    n, n_classes = scores.shape
    losses, d_scores = empty(n, np.float64), empty(scores.shape, scores.dtype)
    compute = kernel("losses.cu", name, scores.dtype)
    launch_over(compute, n, scores, classes, n_classes, losses, d_scores)
    return losses, d_scores


@operation
def row_squares(features):
    """See `minisca.backends.interface.Backend.row_squares`."""
    n, n_features = features.shape
    squares = empty(n, np.float64)
    add = _of_features("square_rows", features, np.float32)
    n_blocks = ceil_div(n, LINEAR_THREADS // WARP)
    launch(add, n_blocks, LINEAR_THREADS, features, n_features, squares, np.int64(n))
    return squares


def _of_features(name, features, dtype):
    """A kernel of linear.cu, for features of dtype or of float16."""
    halves = {"HALVES": 1} if features.dtype == np.float16 else {}
    return kernel("linear.cu", name, dtype if halves else features.dtype, **halves)


@operation
def contrast_normalised(features, epsilon):
    """See `minisca.backends.interface.Backend.contrast_normalised`."""
    n, n_features = features.shape
    normalised = empty(features.shape, features.dtype)
    args = features, n_features, np.float64(epsilon), normalised
    _launch_over_rows("normalise_rows", features.dtype, n, *args)
    return normalised


@operation
def nearest(points, centres):
    """See `minisca.backends.interface.Backend.nearest`."""
    n, n_features = points.shape
    half_norms = (to_host(row_squares(centres)) / -2).astype(points.dtype)
    nearness = linear(points, centres, half_norms)
    labels, distances = empty(n, np.int32), empty(n, points.dtype)
    args = nearness, points, centres, len(centres), n_features, labels, distances
    _launch_over_rows("choose_nearest", points.dtype, n, *args)
    return labels, distances


def _launch_over_rows(name, dtype, n, *args):
    """Run a kernel of rows.cu, a warp a row."""
    n_blocks = ceil_div(n, LINEAR_THREADS // WARP)
    launch(kernel("rows.cu", name, dtype), n_blocks, LINEAR_THREADS, *args, np.int64(n))
