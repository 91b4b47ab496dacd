"""Rows of numbers: their contrast normalised, and the centre that is nearest to them."""

import math

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.kernels.reduce import group_sum


@cuda.jit
def normalise_rows(rows, epsilon, normalised):
    """Every row of (n, f) less its mean, over its deviation plus epsilon (1,). A block a row."""
    shared = cuda.shared.array(0, epsilon.dtype)
    size = rows.shape[1]
    for row in range(cuda.blockIdx.x, rows.shape[0], cuda.gridDim.x):
        total, squares = 0.0, 0.0
        for f in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            total += np.float64(rows[row, f])
        mean = group_sum(total, shared) / size
        for f in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            squares += (rows[row, f] - mean) * (rows[row, f] - mean)
        divisor = math.sqrt(group_sum(squares, shared) / size) + epsilon[0]
        for f in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            normalised[row, f] = (rows[row, f] - mean) / divisor


@cuda.jit
def choose_nearest(nearness, points, centres, labels, distances):
    """The first of the largest of nearness (n, l), and the squared distance; a thread a point."""
    for i in range(cuda.grid(1), labels.size, cuda.gridsize(1)):
        best = 0
        for c in range(1, nearness.shape[1]):
            if nearness[i, c] > nearness[i, best]:
                best = c
        total = points.dtype.type(0)
        for f in range(points.shape[1]):
            difference = points[i, f] - centres[best, f]
            total += difference * difference
        labels[i] = best
        distances[i] = total
