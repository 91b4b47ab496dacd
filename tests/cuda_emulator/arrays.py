"""NumPy in the place of CuPy, as treacherous as a device about memory that nobody has written."""

import numpy as np


class _Arrays:
    """NumPy, except that what `empty` returns is full of NaN, or of -1."""

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, *args, **named):
        return _spoilt(np.empty(*args, **named))

    def empty_like(self, *args, **named):
        return _spoilt(np.empty_like(*args, **named))


def _spoilt(array):
    """The new array with all bits set."""
    array.ravel(order="K").view(np.uint8)[...] = 0xFF
    return array


xp = _Arrays()
