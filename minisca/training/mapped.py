"""Images in files that are mapped, such as np.memmap: a batch of them is fetched at once.

Where an image is not in memory the system reads on from there, as if the next were wanted too: up
to megabytes for each, and one image after the other. So it is told which ones are.
"""

import contextlib
import mmap

import numpy as np

#: Smaller arrays are soon in memory as a whole.
LARGE_BYTES = 256 << 20


class MappedImages:
    """Looks like images X (n, c, h, w), an array that begins at byte `start` of a map."""

    def __init__(self, X, map_of_file, start):
        self.X, self.shape, self.dtype = X, X.shape, X.dtype
        self._map, self._start = map_of_file, start
        self._image_bytes = X.nbytes // len(X)

    def __getitem__(self, rows):
        """The images of a slice, or at rising indices."""
        if not isinstance(rows, slice):
            with contextlib.suppress(OSError):  # it is advice: not every map takes it
                for row in rows:
                    first = self._start + int(row) * self._image_bytes
                    end, first = first + self._image_bytes, first - first % mmap.PAGESIZE
                    self._map.madvise(mmap.MADV_WILLNEED, first, end - first)
        return self.X[rows]


def if_mapped(X):
    """Images X, as MappedImages if they are many and lie in a mapped file; else as they are."""
    if not (isinstance(X, np.ndarray) and X.flags.c_contiguous and X.nbytes > LARGE_BYTES):
        return X
    owner = X
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if not (isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_WILLNEED")):
        return X
    return MappedImages(X, owner, X.ctypes.data - np.frombuffer(owner, np.uint8).ctypes.data)
