"""Centring: every channel's mean over the training images is taken off, before all else.

The pooled maps that a second layer learns from are positive nearly everywhere. Left in, that mean
is most of the loss: the first steps learn nothing else, and silence the units that point away.
"""

from minisca.validation import read_batch


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
