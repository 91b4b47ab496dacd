"""The arithmetic between operations, and of rows of features, on NumPy arrays.

See `minisca.backends.interface`: `Support`, and of rows `Backend`.
"""

import numpy as np

from minisca.backends.cpu.device import to_device
from minisca.backends.cpu.kernels import survivors
from minisca.backends.cpu.kernels.by_map import by_map
from minisca.backends.cpu.kernels.errors import subtract
from minisca.backends.cpu.runtime import in_parallel, operation, recycler
from minisca.backends.operands import check_cast
from minisca.chunks import chunks


@operation
def gather(images, rows):
    """See `minisca.backends.interface.Support.gather`."""
    return images[rows]


@np.errstate(over="ignore", under="ignore")
def cast(array, dtype, centre=None):
    """See `minisca.backends.interface.Support.cast`."""
    array, dtype, centre = check_cast(array, dtype, centre, to_device)
    made = array.astype(np.float32 if dtype == np.float16 else dtype, copy=False)
    if centre is not None:
        made = made - centre.reshape(-1, *[1] * (made.ndim - 2))
    return made.astype(dtype, copy=False)


@operation
def residual(x_hat, x, divisor=1):
    """See `minisca.backends.interface.Support.residual`."""
    error = recycler.empty(x.shape, x.dtype)
    subtraction = _subtraction(x_hat, x, error, divisor)
    in_parallel(subtract, len(subtraction[0]), *subtraction)
    return float(subtraction[-1].sum()), error


@operation
def decoded_residual(values, positions, filters, bias, x, divisor=1, maps=None):
    """See `minisca.backends.interface.Support.decoded_residual`."""
    x_hat, error = (recycler.empty(x.shape, x.dtype) for _ in range(2))
    subtraction = _subtraction(x_hat, x, error, divisor)
    survivors.decode(*by_map(values, positions, maps), filters, bias, x_hat, subtraction)
    return float(subtraction[-1].sum()), error


def _subtraction(x_hat, x, error, divisor):
    """The arguments of `subtract`, but for the image; the last are the losses, to be filled."""
    n = len(x) if x.ndim else 1
    rows = [array.reshape(n, -1) for array in (x_hat, x, error)]
    return *rows, x.dtype.type(divisor), np.empty(n)


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


@operation
def linear(features, weights, intercept):
    """See `minisca.backends.interface.Backend.linear`."""
    scores = np.empty((len(features), len(weights)), weights.dtype)
    for rows, part in _widened(features, weights.dtype):
        np.matmul(part, weights.T, out=scores[rows])
    scores += intercept
    return scores


@operation
def linear_backward(features, d_scores):
    """See `minisca.backends.interface.Backend.linear_backward`."""
    d_weights = np.zeros((d_scores.shape[1], features.shape[1]), d_scores.dtype)
    for rows, part in _widened(features, d_scores.dtype):
        d_weights += d_scores[rows].T @ part
    return d_weights, d_scores.sum(axis=0)


@operation
def squared_hinge(scores, classes):
    """See `minisca.backends.interface.Backend.squared_hinge`."""
    signs = np.full(scores.shape, -1.0)
    signs[np.arange(len(scores)), classes] = 1
    short = np.maximum(0, 1 - signs * scores)
    return np.square(short).sum(axis=1), (-2 * signs * short).astype(scores.dtype)


@operation
@np.errstate(under="ignore", invalid="ignore")  # far below the largest it is 0; infinite: NaN
def cross_entropy(scores, classes):
    """See `minisca.backends.interface.Backend.cross_entropy`."""
    rows = np.arange(len(scores))
    shifted = scores - scores.max(axis=1, keepdims=True).astype(np.float64)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1)
    d_scores = exponentials / totals[:, np.newaxis]
    d_scores[rows, classes] -= 1
    return np.log(totals) - shifted[rows, classes], d_scores.astype(scores.dtype)


@operation
@np.errstate(over="ignore")  # what is infinite then is the caller's to see
def row_squares(features):
    """See `minisca.backends.interface.Backend.row_squares`."""
    squares = np.empty(len(features))
    for rows, part in _widened(features, np.float64):
        np.einsum("ij,ij->i", part, part, out=squares[rows])
    return squares


@operation
def contrast_normalised(features, epsilon):
    """See `minisca.backends.interface.Backend.contrast_normalised`."""
    normalised = features.astype(np.float64)
    normalised -= normalised.mean(axis=1, keepdims=True)
    normalised /= normalised.std(axis=1, keepdims=True) + epsilon
    return normalised.astype(features.dtype, copy=False)


@operation
def nearest(points, centres):
    """See `minisca.backends.interface.Backend.nearest`."""
    labels, distances = np.empty(len(points), np.int32), np.empty(len(points), points.dtype)
    half_norms = np.einsum("kd,kd->k", centres, centres) / 2
    per_point = (len(centres) + 2 * points.shape[1]) * points.itemsize
    for rows in chunks(len(points), per_point):
        part = points[rows]
        nearness = part @ centres.T
        nearness -= half_norms
        labels[rows] = nearness.argmax(axis=1)
        # from the difference: what the products cancel would make an objective rise
        difference = part - centres[labels[rows]]
        distances[rows] = np.einsum("nd,nd->n", difference, difference)
    return labels, distances


def _widened(features, dtype):
    """Yield (rows, features) of that dtype, those of another a part at a time."""
    n, n_features = features.shape
    dtype = np.dtype(dtype)
    if features.dtype == dtype:
        yield slice(0, n), features
        return
    for rows in chunks(n, n_features * dtype.itemsize):
        yield rows, features[rows].astype(dtype)
