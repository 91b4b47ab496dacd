"""Cropping and halving of images, as of NORB's views (paper section 3.3): by slices of X alone."""

import math

import numpy as np

from minisca.chunks import chunks
from minisca.types import Array, Images
from minisca.validation import check_images, check_integer, check_room, read_batch


def crop_centre(X: Images, side: int) -> Array:
    """The inner pixels of images (n, c, h, w): a view (n, c, side, side).

    Of an odd number of rows or columns that go, the lower or right edge loses one more. Raises
    ValueError or TypeError for other images, and if they are smaller than `side`.
    """
    X = check_images(X)
    side = check_integer("side", side)
    height, width = X.shape[2:]
    if side > min(height, width):
        raise ValueError(f"side is {side}; X has images of {height}x{width} pixels, it must fit")
    top, left = (height - side) // 2, (width - side) // 2
    return X[:, :, top : top + side, left : left + side]


def resize_bilinear(X: Images, side: int) -> Array:
    """Resample images bilinearly.

    Parameters
    ----------
    X : array (n, c, h, w) of any real dtype that slices along its first axis
    side : int >= 1

    Returns
    -------
    float32 array (n, c, side, side)

    Raises
    ------
    ValueError or TypeError for other or non-finite images.

    Notes
    -----
    The centre of output row i lies at (i + 1/2) h / side - 1/2 in rows of X, where the two nearest
    are mixed (`align_corners=False` of other libraries). At half the size this is exactly the mean
    of each 2 x 2 pixels; at less, pixels are skipped.
    """
    X = check_images(X)
    side = check_integer("side", side)
    check_room("side", (*X.shape[:2], side, side))
    above, below, down = _between(X.shape[2], side)
    left, right, along = _between(X.shape[3], side)
    down = down[:, None]
    out = np.empty((*X.shape[:2], side, side), np.float32)
    for rows in chunks(X.shape[0], 8 * math.prod(X.shape[1:])):
        x = read_batch(X, rows, np.float32)
        x = x[:, :, above] * (1 - down) + x[:, :, below] * down
        out[rows] = x[..., left] * (1 - along) + x[..., right] * along
    return out


def _between(size, side):
    """For each of `side` places: the two of `size` pixels that it lies between, and how far."""
    places = np.clip((np.arange(side) + 0.5) * (size / side) - 0.5, 0, size - 1)
    first = np.floor(places).astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (places - first).astype(np.float32)
