"""The linear SVM's minimum by coordinate descent in its dual, a block of features at a time.

One variable a row and class is changed at a time, to where the dual has its minimum along it (Hsieh
et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008, algorithm 1): a
pass over the features makes as many steps as there are rows, where a gradient method makes one.

With C = 1 / (l2 n), z a row's features and t its sign for a class, the class's machine minimises

    |w|^2 / 2 + C sum_i max(0, 1 - t_i (w z_i + b))^2,

whose dual variables a_i >= 0 give w = sum_i a_i t_i z_i and minimise

    |w|^2 / 2 + sum_i (a_i^2 / (4 C) - a_i)    where sum_i a_i t_i = 0.

The condition, which a free intercept b brings, is kept by the method of multipliers: b moves along
as if it were the weight of a constant feature, and after every pass once more by what the condition
is still violated. Where that is nothing, b is as free as it should be.
"""

import numpy as np
from tqdm import tqdm

#: The square of the constant feature, relative to a dual variable's own curvature. A larger one
#: brings the intercepts sooner to where they should be, and couples the rows more.
CONSTANT = 0.05


def minimise_hinges(problem, max_iter, tol, verbose):
    """Weights, intercepts, passes made, and whether these suffice.

    problem: a `Problem` of `minisca.classifiers.linear`, whose rows come in an order that is drawn
    anew for every pass, the same in every run. Passes suffice when no step of the last one, and no
    intercept, had more than `tol` to put right, in units of the margin.
    """
    from minisca.classifiers.kernels.descent import descend_  # Numba takes long to import

    blocks, codes, n_classes, mean, scale, l2 = problem
    half_slack = l2 * blocks.n / 2
    # The rows' mean squared length once they are centred: `scale` gave each feature the square 1.
    square = blocks.n_features * max(1 - np.mean((scale * mean) ** 2), 0)
    constant = CONSTANT * (square + half_slack)
    duals = np.zeros((blocks.n, n_classes))
    weights = np.zeros((n_classes, blocks.n_features), blocks.dtype)
    intercepts, balance = np.zeros(n_classes), np.zeros(n_classes)
    centre = mean.astype(blocks.dtype)
    random = np.random.default_rng(0)
    # disable=None: no bar unless stderr is a terminal.
    disable = None if verbose else True
    with tqdm(total=max_iter, desc="Passes", delay=2, leave=False, disable=disable) as bar:
        made, violation = 0, np.inf
        while made < max_iter and violation > tol:
            intercepts += constant * balance
            made += 1
            violations = np.zeros(n_classes)
            machines = (weights, intercepts, balance, violations)
            for rows, block in blocks.shuffled(random):
                order = random.permutation(len(block))
                descend_(
                    block, order, rows, codes, centre, scale, half_slack, constant, duals, machines
                )
            violation = max(violations.max(), constant * np.abs(balance).max())
            bar.set_postfix(violation=f"{violation:.2g}", refresh=False)
            bar.update()
            if not np.isfinite(violation):
                break
    weights = weights.astype(np.float64)
    return weights, intercepts - weights @ (scale * mean), made, bool(violation <= tol)
