"""Images that are shifted or mirrored: scores averaged over them, or features learned from."""

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


def mirrored(images):
    """Yield the images (n, c, h, w) with left and right exchanged."""
    yield np.ascontiguousarray(images[..., ::-1])


#: What an image's scores can be averaged over, beside its own.
ALTERED = {"shifts": shifted, "mirrored": mirrored}


def augmented(features, labels, images, encode):
    """The features (n, ...) with those of the images shifted to the four sides; all their labels.

    encode: makes features of images. Returns float16 (5 n, ...) and (5 n,), shift after shift.
    """
    together = np.empty((1 + len(SIDES), *features.shape), np.float16)

    def copy(features, out):  # some rows at a time: layers' features are joined when they are read
        for rows in slices(len(out), 1000):
            out[rows] = features[rows]

    copy(features, together[0])
    for out, moved in zip(together[1:], shifted(images, SIDES), strict=True):
        copy(encode(moved), out)
    return together.reshape(-1, *features.shape[1:]), np.tile(labels, len(together))
