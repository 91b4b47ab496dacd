"""Centring: every channel's mean over the training images is taken off, before all else.

The pooled maps that a second layer learns from are positive nearly everywhere. Left in, that mean
is most of the loss: the first steps learn nothing else, and silence the units that point away.
"""

import math

import numpy as np

from minisca.chunks import chunks
from minisca.validation import read_batch


def channel_means(X, dtype):
    """Mean of each channel of images X (n, c, h, w): an array (c,) of `dtype`, summed in float64.

    Raises ValueError for pixels that are not finite.
    """
    n, channels, *size = X.shape
    total = np.zeros(channels)
    for rows in chunks(n, math.prod(X.shape[1:]) * np.dtype(dtype).itemsize):
        total += read_batch(X, rows, dtype).sum(axis=(0, 2, 3), dtype=np.float64)
    return (total / (n * math.prod(size))).astype(dtype)


class Centred:
    """Looks like images X (n, c, h, w) less `centre` (c,): an array of its dtype, by slices."""

    def __init__(self, X, centre):
        self.X = X
        self.centre = centre
        self.shape = tuple(X.shape)
        self.dtype = centre.dtype

    def __getitem__(self, rows):
        return read_batch(self.X, rows, self.dtype) - self.centre[:, None, None]


def centred(X, centre):
    """Images X (n, c, h, w) less `centre` (c,), taken off as they are read; X where it is None.

    Zero padding, which comes after, then adds pixels of the mean.
    """
    return X if centre is None else Centred(X, centre)
