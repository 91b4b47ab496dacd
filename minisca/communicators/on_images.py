"""What several ranks make of images together: each of some batches of them.

The images are cut where one process cuts them, so that nothing depends on the number of ranks, and
all is as without any, to the bit.
"""

import math
from functools import partial

import numpy as np

from minisca import encoding
from minisca.backends import get_backend
from minisca.chunks import slices
from minisca.communicators.agreement import agree, described, together
from minisca.communicators.ranks import as_communicator
from minisca.encoding import ENCODE_BATCH, features_shape, images_at_a_time
from minisca.output import flat_shape
from minisca.training.images import fingerprint
from minisca.validation import check_choice, check_images, check_out, read_batch


class Rows:
    """Looks like X[rows] to what reads by slices and rising indices; nothing is read before."""

    def __init__(self, X, rows):
        self.X, self._first = X, rows.start
        self.shape = rows.stop - rows.start, *X.shape[1:]
        self.dtype = X.dtype

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.shape[0])
            return self.X[self._first + start : self._first + stop : step]
        return self.X[np.asarray(rows) + self._first]


def transform(communicator, estimator, layers, X, out=None, to="host", **options):
    """`estimator.transform(X, out, **options)` of a layer, or of a stack of `layers`, by ranks.

    A memory map as `out`, of one file that all ranks have opened, is filled by all of them, each
    with its rows. Else every rank has all features in the end, on the host.
    """
    ranks = as_communicator(communicator)

    def describe():
        check_choice("to", to, ("host",))
        images, found = _described(ranks, layers, X, flat=estimator.flat, **options)
        results, size = [], tuple(images.shape[2:])
        for layer in layers:
            results.append(features_shape(layer.state_, layer, size))
            size = results[-1][1:]
        shape = images.shape[0], *results[-1]
        shape = flat_shape(shape) if estimator.flat else shape
        return (images, results, None if out is None else check_out(out, shape)), found

    images, results, filled = agree(ranks, describe)
    rows = _own(ranks, layers[0], images, *results)
    quiet = ranks.quiet(estimator) if hasattr(estimator, "verbose") else estimator
    is_file = all(ranks.tell(isinstance(filled, np.memmap)))

    def encode():
        if rows.stop == rows.start:
            return None
        into = filled[rows] if is_file else None
        return np.asarray(quiet.transform(Rows(images, rows), out=into, **options))

    made = together(ranks, encode)
    if is_file:
        filled.flush()
        ranks.tell(None)  # no rank reads it before all have written
        return out
    whole = ranks.gather(made)
    if out is None:
        return estimator._contained(whole, results[-1])
    filled[...] = whole
    return out


def score(communicator, layer, X):
    """See `SparseConvAutoencoder.score`."""
    ranks = as_communicator(communicator)
    images = agree(ranks, partial(_described, ranks, [layer], X))
    own = Rows(images, _own(ranks, layer, images))

    def measure():
        if not own.shape[0]:
            return []
        return list(encoding.squared_errors(*ranks.quiet(layer)._checked(own)))

    losses = ranks.tell(together(ranks, measure))
    return -sum(loss for each in losses for loss in each) / images.shape[0]


def usage(communicator, layer, X):
    """See `SparseConvAutoencoder.usage`."""
    ranks = as_communicator(communicator)
    images = agree(ranks, partial(_described, ranks, [layer], X))
    own = Rows(images, _own(ranks, layer, images))

    def count():
        return encoding.count_survivors(*ranks.quiet(layer)._checked(own)) if own.shape[0] else 0

    return sum(ranks.tell(together(ranks, count))) / images.shape[0]


def agreed_images(communicator, estimator, check):
    """The ranks, and the images that `check` returns: the same on all, as the settings are."""
    ranks = as_communicator(communicator)

    def describe():
        images = check()
        settings = estimator.get_params(deep=False)
        return images, described(settings, ranks, X=fingerprint(images))

    return ranks, agree(ranks, describe)


def moments(ranks, X, parts):
    """The mean (d,) and covariance (d, d), float64, of images X, which are read in these slices."""
    size, backend = math.prod(X.shape[1:]), get_backend("cpu")

    def rows_of():
        for rows in parts[ranks.share(len(parts))]:
            x = read_batch(X, rows, np.float64)
            yield x.reshape(len(x), -1)

    def total(own, *shape):
        return ranks.sum_blocks(backend, own, len(parts), (np.empty(shape),))[0] / X.shape[0]

    mean = total(together(ranks, lambda: [(rows.sum(axis=0),) for rows in rows_of()]), size)
    less = (rows - mean for rows in rows_of())
    return mean, total(((rows.T @ rows,) for rows in less), size, size)


def _own(ranks, layer, X, *results):
    """The rows of this rank: of whole batches, as one process reads them."""
    length = images_at_a_time(ENCODE_BATCH, layer.dtype, X.shape[1:], *results)
    own = slices(X.shape[0], length)
    own = own[ranks.share(len(own))]
    return slice(own[0].start, own[-1].stop) if own else slice(0, 0)


def _described(ranks, layers, X, **options):
    """For `agree`: images X; and the options, what the layers have learned, and their settings."""
    first, settings = layers[0], options
    for number, layer in enumerate(layers, start=1):
        layer._check_as_fitted()
        layer.check_parameters()
        known = {"filters": fingerprint(layer.encoder_filters_, math.inf)}
        known["biases"] = fingerprint(layer.encoder_bias_, math.inf)
        own = layer.get_params(deep=False) | known
        settings |= {f"{name} of layer {number}": value for name, value in own.items()}
    images = check_images(X, channels=first.n_channels_, size=first.image_size_)
    return images, described(settings, ranks, X=fingerprint(images))
