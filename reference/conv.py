"""The encoder's convolution and its gradients, one unit at a time, in float64.

From section 2 of arXiv 1409.2752v1: a_i = P_i * x + b_i, images zero-padded to keep their size.
"""

import numpy as np


def pad(images, margin):
    """Images (n, c, h, w) with `margin` zeros on every side, so that every patch is whole."""
    return np.pad(np.asarray(images, np.float64), ((0, 0), (0, 0), (margin,) * 2, (margin,) * 2))


def crop(padded, margin):
    """The inverse of `pad`: what fell outside the image is cut."""
    _, _, height, width = padded.shape
    return padded[:, :, margin : height - margin, margin : width - margin].copy()


def patch(padded, image, row, column, filter_width):
    """The patch of all channels centred on (row, column): a view, to read or to add to."""
    return padded[image, :, row : row + filter_width, column : column + filter_width]


def conv2d(x, filters, bias):
    (n, _, h, w), (m, _, k, _) = x.shape, filters.shape
    filters, padded = filters.astype(np.float64), pad(x, k // 2)
    maps = np.zeros((n, m, h, w))
    for image, i, row, column in np.ndindex(maps.shape):
        seen = patch(padded, image, row, column, k)
        maps[image, i, row, column] = np.sum(filters[i] * seen) + bias[i]
    return maps


def conv2d_backward(x, filters, d_maps, needs_x=True):
    m, _, k, _ = filters.shape
    filters, d_maps, padded = filters.astype(np.float64), d_maps.astype(np.float64), pad(x, k // 2)
    d_padded, d_filters, d_bias = np.zeros(padded.shape), np.zeros(filters.shape), np.zeros(m)
    for image, i, row, column in np.ndindex(d_maps.shape):
        d_unit = d_maps[image, i, row, column]
        d_filters[i] += d_unit * patch(padded, image, row, column, k)
        d_bias[i] += d_unit
        d_seen = patch(d_padded, image, row, column, k)
        d_seen += d_unit * filters[i]
    return crop(d_padded, k // 2) if needs_x else None, d_filters, d_bias
