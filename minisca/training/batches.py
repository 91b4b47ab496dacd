"""Images on their way to the backend: a batch at a time, or all at once where a device has room.

Either way a training step finds its batch where it computes. On the CPU that is a batch read from
X, as ever.
"""

import math

import numpy as np

from minisca.validation import read_batch

#: Of the images, how much is read at a time while all of them are brought to a device.
CHUNK_BYTES = 64 << 20
#: Of a device's free memory, how much the images may take. The rest is a training step's: gradients
#: in pieces, feature maps of a chunk of images, what is kept to undo an epoch.
SHARE = 0.5


class Batches:
    """Batches of images X (n, c, h, w), as arrays of `dtype` where the backend computes.

    `resident` says whether all of X was brought there when this was made; if not, a batch is
    brought there each time. Raises ValueError for pixels that are not finite.
    """

    def __init__(self, backend, X, dtype):
        self._backend, self._X, self._dtype = backend, X, np.dtype(dtype)
        n_bytes = math.prod(X.shape) * self._dtype.itemsize
        self.resident = n_bytes <= SHARE * backend.free_bytes()
        if self.resident:
            self._bring_all(n_bytes // X.shape[0])

    def _bring_all(self, bytes_per_image):
        backend, n = self._backend, self._X.shape[0]
        self._images = backend.empty(self._X.shape, self._dtype)
        step = max(1, CHUNK_BYTES // bytes_per_image)
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            part = backend.to_device(read_batch(self._X, rows, self._dtype))
            backend.copy_into_(self._images[rows], part)

    def in_order(self, order, batch_size):
        """Yield the images of each batch of `order`, a permutation of the rows of X.

        A batch's rows rise, as memory maps and HDF5 data sets want them.
        """
        starts = range(0, len(order), batch_size)
        batches = [np.sort(order[start : start + batch_size]) for start in starts]
        if not self.resident:
            for rows in batches:
                yield self._backend.to_device(read_batch(self._X, rows, self._dtype))
            return
        order = self._backend.to_device(np.concatenate(batches))  # of the whole epoch, at once
        for start in starts:
            yield self._backend.gather(self._images, order[start : start + batch_size])
