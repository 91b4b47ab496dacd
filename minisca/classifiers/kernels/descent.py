"""Coordinate descent in the dual of the linear SVM: what is done with one block of rows.

Source: Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008,
algorithm 1, and its shrinking, section 3.3. A row is read once for all classes. What it changes in
their weights is there for the next row.

A dual variable that is 0, and that its gradient would push below, mostly stays so for many passes.
It can be put to sleep: it is -0 then, and is passed over until a pass wakes it.
"""

from typing import NamedTuple

import numpy as np

from minisca.backends import cpu_runtime

#: Slopes by which nothing is put to sleep.
NEVER = float("inf")

runtime = cpu_runtime()
share, thread_count = runtime.share, runtime.thread_count


class Machines(NamedTuple):
    """What the classes' machines have learned so far. A step changes it in place."""

    weights: np.ndarray  # (classes, f), of the features' dtype
    intercepts: np.ndarray  # (classes,) float64, as those below
    balance: np.ndarray  # the sums of signed dual variables
    violations: np.ndarray  # the largest so far of what a step had to put right, in margins


def descend_(
    block,
    order,
    rows,
    codes,
    mean,
    scale,
    half_slack,
    constant,
    duals,
    machines,
    sleep=(True, NEVER),
):
    """One step of every dual variable of a block's rows. Changes duals and machines in place.

    block (b, f) holds the features as they are; the machines see (block - mean) * scale. Its rows
    come in `order`. They are `rows` among all n, whose classes are codes (n,), from 0, and whose
    dual variables are duals (n, classes), float64. half_slack is 1 / (2 C), what a dual variable
    weighs by itself; constant the square of the feature whose weight is the intercept. sleep:
    whether sleeping variables are woken, and the gradient above which one that is 0 falls asleep.
    """
    machines = Machines(*machines)
    block, mean, weights = runtime.plain(block, mean, machines.weights)
    assert weights is machines.weights  # changed in place
    # What happens to a class is the same for any number of pieces, each of which centres the rows.
    pieces = min(thread_count(), len(weights))
    numbers = block.dtype.type(scale), float(half_slack), float(constant)
    what = block, order, rows, codes, mean, numbers, duals, machines, sleep
    runtime.in_parallel(_descend, pieces, pieces, *what)


# Sums over features may be taken in vectors.
@runtime.kernel(fastmath={"reassoc", "contract"})
def _descend(piece, pieces, block, order, rows, codes, mean, numbers, duals, machines, sleep):
    waking, deep = sleep
    scale, half_slack, constant = numbers
    weights, intercepts, balance, violations = machines
    n_features = block.shape[1]
    row = np.empty(n_features, block.dtype)
    first, end = share(piece, pieces, len(weights))
    for i in order:
        if not waking:
            awake = False
            for c in range(first, end):
                awake = awake or not np.signbit(duals[rows[i], c])
            if not awake:
                continue
        square = block.dtype.type(0)
        for f in range(n_features):
            row[f] = (block[i, f] - mean[f]) * scale
            square += row[f] * row[f]
        # The second derivative of the dual by this row's variable.
        curvature = np.float64(square) + constant + half_slack
        for c in range(first, end):
            old = duals[rows[i], c]
            if not waking and np.signbit(old):
                continue
            score = block.dtype.type(0)
            for f in range(n_features):
                score += weights[c, f] * row[f]
            sign = 1.0 if codes[rows[i]] == c else -1.0
            gradient = sign * (np.float64(score) + intercepts[c]) - 1 + half_slack * old
            new = max(0.0, old - gradient / curvature)
            if new == old:
                if new == 0:
                    duals[rows[i], c] = -0.0 if gradient > deep else 0.0
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
