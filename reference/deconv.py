"""The linear decoder and its gradients: a unit pastes its filter around its position, in float64.

From section 2 of arXiv 1409.2752v1: x_hat = sum_i (W_i * z_i + b'_i), one sum of b'_i a channel.
"""

import numpy as np

from reference.conv import crop, pad, patch


def deconv2d(maps, filters, bias):
    (n, _, h, w), (_, c, k, _) = maps.shape, filters.shape
    maps, filters = maps.astype(np.float64), filters.astype(np.float64)
    padded = pad(np.zeros((n, c, h, w)), k // 2)
    for image, i, row, column in np.ndindex(maps.shape):
        pasted = patch(padded, image, row, column, k)
        pasted += maps[image, i, row, column] * filters[i]
    return crop(padded, k // 2) + bias.astype(np.float64).reshape(1, c, 1, 1)


def deconv2d_backward(maps, filters, d_images):
    _, c, k, _ = filters.shape
    maps, filters = maps.astype(np.float64), filters.astype(np.float64)
    d_padded = pad(d_images, k // 2)
    d_maps, d_filters, d_bias = np.zeros(maps.shape), np.zeros(filters.shape), np.zeros(c)
    for image, i, row, column in np.ndindex(maps.shape):
        d_pasted = patch(d_padded, image, row, column, k)
        d_maps[image, i, row, column] = np.sum(filters[i] * d_pasted)
        d_filters[i] += maps[image, i, row, column] * d_pasted
    for channel in range(c):
        d_bias[channel] = np.sum(d_images[:, channel], dtype=np.float64)
    return d_maps, d_filters, d_bias
