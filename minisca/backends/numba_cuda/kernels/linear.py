"""Linear classifiers: products of many rows of features with few classes, and their transpose.

The features, far larger than all else, are read once for all classes of a group. A sum is a
thread's, or a piece's, in the order of the features, or rows; then the threads', or the pieces', in
a fixed order.
"""

import math

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.kernels.reduce import group_sum

#: Classes of a group, whose sums a thread has at once.
CLASSES = 10
#: Rows that a block has at once.
ROWS = 4
#: Pieces of the rows, at most: fixed, so that no device changes a sum.
PIECES = 64


@cuda.jit
def linear(features, weights, intercept, scores):
    """Scores (n, l) of features (n, f). A block has ROWS rows and a group of classes."""
    (n, n_features), n_classes = features.shape, weights.shape[0]
    n_groups = (n_classes + CLASSES - 1) // CLASSES
    shared = cuda.shared.array(0, scores.dtype)
    sums = cuda.local.array((ROWS, CLASSES), scores.dtype)
    own = cuda.local.array(ROWS, scores.dtype)
    for item in range(cuda.blockIdx.x, (n + ROWS - 1) // ROWS * n_groups, cuda.gridDim.x):
        first_row, first_class = item // n_groups * ROWS, item % n_groups * CLASSES
        for r in range(ROWS):
            for c in range(CLASSES):
                sums[r, c] = 0
        for f in range(cuda.threadIdx.x, n_features, cuda.blockDim.x):
            for r in range(ROWS):
                own[r] = scores.dtype.type(features[min(first_row + r, n - 1), f])
            for c in range(CLASSES):
                weight = weights[min(first_class + c, n_classes - 1), f]
                for r in range(ROWS):
                    sums[r, c] += own[r] * weight
        for r in range(ROWS):
            for c in range(CLASSES):
                if first_row + r < n and first_class + c < n_classes:  # the whole block's
                    score = group_sum(sums[r, c], shared)
                    if cuda.threadIdx.x == 0:
                        bias = intercept[first_class + c]
                        scores[first_row + r, first_class + c] = score + bias


@cuda.jit
def multiply_rows(features, d_scores, parts):
    """parts (pieces, l, f): d_scores (n, l) transposed times features (n, f), of every piece.

    A thread has one feature of a piece.
    """
    (n, n_features), n_classes = features.shape, d_scores.shape[1]
    pieces = parts.shape[0]
    rows_of_piece = (n + pieces - 1) // pieces
    sums = cuda.local.array(CLASSES, d_scores.dtype)
    for i in range(cuda.grid(1), pieces * n_features, cuda.gridsize(1)):
        piece, f = i // n_features, i % n_features
        first, end = piece * rows_of_piece, min(n, (piece + 1) * rows_of_piece)
        for first_class in range(0, n_classes, CLASSES):
            for c in range(CLASSES):
                sums[c] = 0
            for row in range(first, end):
                own = d_scores.dtype.type(features[row, f])
                for c in range(CLASSES):
                    sums[c] += own * d_scores[row, min(first_class + c, n_classes - 1)]
            for c in range(CLASSES):
                if first_class + c < n_classes:
                    parts[piece, first_class + c, f] = sums[c]


@cuda.jit
def sum_pieces(parts, totals):
    """totals (size) <- the sums of parts (pieces, size) over the pieces."""
    for i in range(cuda.grid(1), totals.size, cuda.gridsize(1)):
        total = parts.dtype.type(0)
        for piece in range(parts.shape[0]):
            total += parts[piece, i]
        totals[i] = total


@cuda.jit
def square_rows(features, squares):
    """squares (n): in float64, the sums of the squares of features (n, f). A block a row."""
    shared = cuda.shared.array(0, squares.dtype)
    for row in range(cuda.blockIdx.x, squares.size, cuda.gridDim.x):
        total = 0.0
        for f in range(cuda.threadIdx.x, features.shape[1], cuda.blockDim.x):
            own = np.float64(features[row, f])
            total += own * own
        total = group_sum(total, shared)
        if cuda.threadIdx.x == 0:
            squares[row] = total


@cuda.jit
def squared_hinge(scores, classes, losses, d_scores):
    """What a linear classifier loses by scores (n, l), and the gradient; a thread a row."""
    for row in range(cuda.grid(1), losses.size, cuda.gridsize(1)):
        loss = 0.0
        for c in range(scores.shape[1]):
            sign = 1.0 if classes[row] == c else -1.0
            lacking = 1.0 - sign * np.float64(scores[row, c])
            if lacking < 0:
                lacking = 0.0  # what is no number stays it
            loss += lacking * lacking
            d_scores[row, c] = -2.0 * sign * lacking
        losses[row] = loss


@cuda.jit
def cross_entropy(scores, classes, losses, d_scores):
    """As `squared_hinge`, of the softmax. The largest score is taken out: none overflows."""
    for row in range(cuda.grid(1), losses.size, cuda.gridsize(1)):
        largest, total = np.float64(scores[row, 0]), 0.0
        for c in range(1, scores.shape[1]):
            if scores[row, c] > largest:
                largest = np.float64(scores[row, c])
        for c in range(scores.shape[1]):
            total += math.exp(np.float64(scores[row, c]) - largest)
        for c in range(scores.shape[1]):
            share = math.exp(np.float64(scores[row, c]) - largest) / total
            d_scores[row, c] = share - (1.0 if classes[row] == c else 0.0)
        losses[row] = math.log(total) - (np.float64(scores[row, classes[row]]) - largest)
