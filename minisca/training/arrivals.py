"""Images on their way to where a backend computes, or there already.

Bytes and halves of the host cross over as they are, and become the layer's numbers there; the next
images are on their way while kernels work on those before.
"""

import math

import numpy as np

from minisca.backends import name_of
from minisca.backends.operands import TRAVELLING
from minisca.foreign import as_numpy
from minisca.training.centring import Centred
from minisca.validation import check_images, is_of_device, read_batch


def own(name, array, backend):
    """`array`, of the host as it is, of a device as one of the backend's, without a copy.

    Raises TypeError for an array of another device, and as `as_numpy`.
    """
    array = as_numpy(name, array)
    if not is_of_device(array):
        return array
    if not backend.holds(array):
        kind = type(array)
        raise TypeError(
            f"{name} is a {kind.__module__}.{kind.__qualname__} of a device on which "
            f"backend={name_of(backend)!r} does not compute; it must be an array of the host, or "
            "of that backend and its current device"
        )
    is_own = isinstance(array, type(backend.empty((1,), "float32")))
    return array if is_own else backend.to_device(array)


def images_for(backend, X, name="X", **like):
    """Images X as `bring` takes them: those of a device wrapped. Raises as `check_images`.

    And TypeError for an array of another device, or of a dtype that does not travel; ValueError for
    pixels on the device that are not finite. like: as of `check_images`.
    """
    X = check_images(own(name, X, backend), name, **like)
    if not is_of_device(X):
        return X
    if X.dtype not in TRAVELLING:
        must = "on a device it must be uint8, float16, float32 or float64"
        raise TypeError(f"{name} has dtype {X.dtype}; {must}")
    images = DeviceImages(backend, backend.to_device(X))
    images.check(name)
    return images


class DeviceImages:
    """Looks like images (n, c, h, w) of the host to who reads a few; all lie in `array`, there."""

    def __init__(self, backend, array):
        self._backend = backend
        self.array = array
        self.shape = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, rows):
        """The images of a slice or at indices, on the host."""
        return self._backend.to_host(self.there(rows))

    def there(self, rows):
        """The images of a slice or at indices, on the device."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.shape[0])
            if step == 1:
                return self.array[start:stop]
            rows = np.arange(start, stop, step)
        return self._backend.gather(self.array, np.asarray(rows))

    def check(self, name):
        """Raise ValueError for a pixel that is not finite."""
        if self.dtype == np.uint8:
            return
        rows = self.array.reshape((self.shape[0], math.prod(self.shape[1:])))
        squares = self._backend.to_host(self._backend.row_squares(rows))
        for row in np.flatnonzero(~np.isfinite(squares)):
            read_batch(self, slice(int(row), int(row) + 1), self.dtype, name)


def bring(backend, X, rows, dtype):
    """Images X[rows] as an array of `dtype` where the backend computes.

    X: of `images_for`, or centred ones of it. Raises ValueError for pixels that are not finite.
    """
    return _begin(backend, X, rows, dtype)()


def read_there(X, rows, dtype):
    """Images X[rows] where they are: on a device as stored, of the host as a NumPy array."""
    return X.there(rows) if isinstance(X, DeviceImages) else read_batch(X, rows, dtype)


def arriving(backend, X, parts, dtype):
    """Yield images X[rows], as `bring` has them, of every rows of `parts`."""
    return ahead(backend, (_begin(backend, X, rows, dtype) for rows in parts))


def ahead(backend, begun):
    """Yield what each function of `begun` gives, when the next array is on its way already."""
    waiting = None
    for arrive in begun:
        if name_of(backend) == "cpu":  # nothing travels
            yield arrive()
            continue
        if waiting is not None:
            yield waiting()
        waiting = arrive
    if waiting is not None:
        yield waiting()


def _begin(backend, X, rows, dtype):
    """Begin to bring images over; the function that waits for them, and makes numbers of them."""
    images, centre = (X.X, X.centre) if isinstance(X, Centred) else (X, None)
    if isinstance(images, DeviceImages):
        return lambda: backend.cast(images.there(rows), dtype, centre)
    if name_of(backend) == "cpu":
        there = backend.to_device(read_batch(X, rows, dtype))
        return lambda: there
    stored, dtype = np.dtype(images.dtype), np.dtype(dtype)
    fewer = stored in TRAVELLING and stored.itemsize < dtype.itemsize
    arrive = backend.send(read_batch(images, rows, stored if fewer else dtype))
    return lambda: backend.cast(arrive(), dtype, centre)
