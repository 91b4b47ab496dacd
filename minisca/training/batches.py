"""Images on their way to the backend: a batch at a time, or all at once where a device has room.

Either way a training step finds its batch where it computes. On the CPU that is a batch read from
X.
"""

import math

import numpy as np

from minisca.chunks import chunks
from minisca.training.arrivals import DeviceImages, arriving

#: Of a device's free memory, how much the images may take. The rest is a training step's: gradients
#: in pieces, feature maps of a chunk of images.
SHARE = 0.5


def sorted_batches(order, batch_size):
    """The batches of `order`, a permutation: index arrays, each sorted.

    Sorted, because memory maps and HDF5 data sets want rows that rise.
    """
    n_whole = len(order) // batch_size
    whole, rest = np.split(order, [n_whole * batch_size])
    found = list(np.sort(whole.reshape(n_whole, batch_size), axis=1))
    return [*found, np.sort(rest)] if rest.size else found


class Batches:
    """Batches of images X (n, c, h, w), as arrays of `dtype` where the backend computes.

    X: as of `arrivals.bring`. `resident` says whether all of X is there as `images`, or was brought
    there when this was made; if not, a batch is brought there each time, while the step before it
    runs. Raises ValueError for pixels that are not finite.
    """

    def __init__(self, backend, X, dtype, unit=1):
        self._backend, self._X, self._dtype = backend, X, np.dtype(dtype)
        self._unit = unit
        bytes_per_image = math.prod(X.shape[1:]) * self._dtype.itemsize
        if isinstance(X, DeviceImages) and X.dtype == self._dtype:
            self.resident, self.images = True, X.array
            return
        self.resident = X.shape[0] * bytes_per_image <= SHARE * backend.free_bytes()
        if self.resident:
            self.images = backend.empty(X.shape, self._dtype)
            parts = chunks(X.shape[0], bytes_per_image)
            for rows, part in zip(parts, arriving(backend, X, parts, self._dtype), strict=True):
                backend.copy_into_(self.images[rows], part)

    def read(self, batches):
        """Yield the images of every batch, a list of sorted index arrays, times the unit."""
        if not self.resident:
            for images in arriving(self._backend, self._X, batches, self._dtype):
                yield self.scaled(images)
            return
        order = self._backend.to_device(np.concatenate(batches))  # of the whole epoch, at once
        start = 0
        for rows in batches:
            images = self._backend.gather(self.images, order[start : start + len(rows)])
            yield self.scaled(images)
            start += len(rows)

    def scaled(self, images):
        """Images on the device times the unit."""
        return images if self._unit == 1 else self._backend.scaled(images, self._unit)
