"""Coordinate descent in the dual of the linear SVM: what is done with one block of rows.

A row is read once for all classes, and what it changes in their weights is there for the next row.
"""

import numpy as np
from numba import njit

from minisca.backends.cpu.runtime.arrays import plain, share
from minisca.backends.cpu.runtime.parallel import in_parallel
from minisca.backends.cpu.runtime.threads import thread_count


def descend_(block, order, rows, codes, mean, scale, half_slack, constant, duals, machines):
    """One step of every dual variable of a block's rows, row after row.

    block (b, f): features as they are; the machines see (block - mean) * scale, `mean` being (f,)
    of the block's dtype. order (b,): in which its rows come. rows (b,): what they are among all n.
    codes (n,): the class of each of all rows, from 0. half_slack: 1 / (2 C), what a dual variable
    weighs by itself. constant: the square of the feature whose weight is the intercept. duals
    (n, classes): changed in place.
    machines: weights (classes, f) of the block's dtype, intercepts, balance (the sums of signed
    dual variables) and violations (the largest so far of what a step had to put right, in units of
    the margin), (classes,) each, in float64: all changed in place.
    """
    weights, intercepts, balance, violations = machines
    block, mean, weights_in = plain(block, mean, weights)
    assert weights_in is weights  # changed in place
    # What happens to a class is the same for any number of pieces, each of which centres the rows.
    pieces = min(thread_count(), len(weights))
    in_parallel(
        _descend, pieces, pieces, block, order, rows, codes, mean, block.dtype.type(scale),
        float(half_slack), float(constant), duals, weights, intercepts, balance, violations,
    )  # fmt: skip


@njit(cache=True, fastmath={"reassoc", "contract"})  # sums over features may be taken in vectors
def _descend(
    piece, pieces, block, order, rows, codes, mean, scale, half_slack, constant, duals, weights,
    intercepts, balance, violations,
):  # fmt: skip
    n_features = block.shape[1]
    row = np.empty(n_features, block.dtype)
    first, end = share(piece, pieces, len(weights))
    for i in order:
        square = block.dtype.type(0)
        for f in range(n_features):
            row[f] = (block[i, f] - mean[f]) * scale
            square += row[f] * row[f]
        # The second derivative of the dual by this row's variable.
        curvature = np.float64(square) + constant + half_slack
        for c in range(first, end):
            score = block.dtype.type(0)
            for f in range(n_features):
                score += weights[c, f] * row[f]
            sign = 1.0 if codes[rows[i]] == c else -1.0
            old = duals[rows[i], c]
            gradient = sign * (np.float64(score) + intercepts[c]) - 1 + half_slack * old
            new = max(0.0, old - gradient / curvature)
            if new == old:
                continue
            # At 0 only a negative gradient violates anything; the step is 0 there otherwise.
            violations[c] = max(violations[c], abs(new - old) * curvature)
            duals[rows[i], c] = new
            change = sign * (new - old)
            balance[c] += change
            intercepts[c] += constant * change
            step = block.dtype.type(change)
            for f in range(n_features):
                weights[c, f] += step * row[f]
