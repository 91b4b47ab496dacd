"""Images in files of compressed chunks (HDF5, zarr), which are unpacked whole: read chunk by chunk.

In a random order of all images nearly each of a batch lies in a chunk of its own, and is paid for
with all of them. So chunks are shuffled; some neighbours in that order, a group, are held unpacked;
and the images of a group are shuffled. Each chunk is unpacked once an epoch. A batch is a random
sample of its group, not of all images, and groups are new ones every epoch.
"""

import math
from collections import OrderedDict
from numbers import Integral

import numpy as np

from minisca.chunks import ceil_div

#: What a group's images take, as they are stored. Smaller sets are read in any order.
GROUP_BYTES = 256 << 20


class ChunkedImages:
    """Looks like images X (n, c, h, w), and holds the chunks that were read last."""

    def __init__(self, X):
        self.X, self.shape, self.dtype = X, tuple(X.shape), np.dtype(X.dtype)
        self._length = int(X.chunks[0])
        image_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        self._n_chunks = ceil_div(self.shape[0], self._length)
        self._per_group = max(2, GROUP_BYTES // (self._length * image_bytes))
        self._held = OrderedDict()

    def __getitem__(self, rows):
        """The images of a slice, or at rising indices."""
        if isinstance(rows, slice):
            return self.X[rows]
        rows = np.asarray(rows)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        of_chunk = rows // self._length
        for chunk in np.unique(of_chunk):
            there = of_chunk == chunk
            found[there] = self._chunk(int(chunk))[rows[there] - chunk * self._length]
        return found

    def _chunk(self, number):
        if number not in self._held:
            while len(self._held) > self._per_group:  # a batch may reach into the next group
                self._held.popitem(last=False)
            start = number * self._length
            self._held[number] = np.asarray(self.X[start : start + self._length])
        self._held.move_to_end(number)
        return self._held[number]

    def order(self, random):
        """Every index once: of a group of chunks after the other, drawn from NumPy's generator."""
        if self._n_chunks <= self._per_group:
            return random.permutation(self.shape[0])
        chunks, parts = random.permutation(self._n_chunks), []
        for first in range(0, self._n_chunks, self._per_group):
            group = chunks[first : first + self._per_group, np.newaxis] * self._length
            indices = (group + np.arange(self._length)).ravel()
            parts.append(random.permutation(indices[indices < self.shape[0]]))
        return np.concatenate(parts)


def in_chunks(X):
    """Images X, as ChunkedImages if they lie in chunks of several images; else as they are."""
    chunks = getattr(X, "chunks", None)
    several = isinstance(chunks, tuple) and len(chunks) == 4 and isinstance(chunks[0], Integral)
    return ChunkedImages(X) if several and chunks[0] > 1 else X
