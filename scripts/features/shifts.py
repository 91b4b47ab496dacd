"""Images shifted by one pixel: their scores averaged, or their features learned from as well."""

import numpy as np

from minisca.chunks import slices

#: (down, right) of the shifts by one pixel along the sides, and of all 8.
SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
ALL_AROUND = (*SIDES, (-1, -1), (-1, 1), (1, -1), (1, 1))


def shifted(images, shifts=ALL_AROUND):
    """Yield the images (n, c, h, w) moved by each (down, right), at most by 1; zeros come in."""
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for down, right in shifts:
        yield padded[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]


def augmented(features, labels, images, encode):
    """The features (n, ...) with those of the images shifted to the four sides; all their labels.

    encode: makes features of images. Returns float16 (5 n, ...) and (5 n,), the shifts one after
    the other.
    """
    n = len(features)
    together = np.empty(((1 + len(SIDES)) * n, *features.shape[1:]), np.float16)
    _copy_rows(features, together[:n])
    for place, moved in enumerate(shifted(images, SIDES), start=1):
        _copy_rows(encode(moved), together[place * n : (place + 1) * n])
    return together, np.tile(labels, 1 + len(SIDES))


def _copy_rows(features, out):
    """A few rows at a time, for features that are put together when they are read."""
    for rows in slices(len(out), 1000):
        out[rows] = features[rows]
