"""Overlapping max-pooling and its gradient, one window at a time, in float64.

From section 2.1 of arXiv 1409.2752v1, sparse encoding, step 2; sizes as in its section 3.
"""

import math

import numpy as np

from reference.conv import conv2d
from reference.winners import relu


def windows(size, pool_width, pool_stride, origin="centred"):
    """Along one side: what each window covers, clipped to the map.

    Together they are centred on the map, or the first begins where it does.
    """
    n_windows = math.ceil(size / pool_stride)
    covered = (n_windows - 1) * pool_stride + pool_width
    first = {"centred": -((covered - size) // 2), "corner": 0}[origin]
    for start in range(first, first + n_windows * pool_stride, pool_stride):
        yield range(max(0, start), min(size, start + pool_width))


def max_pool(maps, pool_width, pool_stride, origin="centred"):
    n, m, h, w = maps.shape
    row_windows, column_windows = (
        list(windows(side, pool_width, pool_stride, origin)) for side in (h, w)
    )
    pooled = np.full((n, m, len(row_windows), len(column_windows)), -np.inf)
    argmax = np.zeros(pooled.shape, np.int32)
    for image, i, out_row, out_column in np.ndindex(pooled.shape):
        here = image, i, out_row, out_column
        for row in row_windows[out_row]:
            for column in column_windows[out_column]:
                if maps[image, i, row, column] > pooled[here]:
                    pooled[here], argmax[here] = maps[image, i, row, column], row * w + column
    return pooled, argmax


def max_pool_backward(d_pooled, argmax, shape):
    d_maps = np.zeros(shape)
    for image, i, out_row, out_column in np.ndindex(d_pooled.shape):
        row, column = divmod(int(argmax[image, i, out_row, out_column]), shape[3])
        d_maps[image, i, row, column] += d_pooled[image, i, out_row, out_column]
    return d_maps


def encode_pooled(x, filters, bias, pool_width, pool_stride, origin="centred", factors=None):
    maps = conv2d(x, filters, np.zeros(len(bias)))
    if factors is not None:
        maps *= factors[:, np.newaxis].astype(np.float64)
    maps += bias[:, np.newaxis, np.newaxis]
    return max_pool(relu(maps), pool_width, pool_stride, origin)[0]
