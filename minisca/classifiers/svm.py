"""The linear support vector machine, and the descent in its dual that finds its minimum."""

import numpy as np

from minisca.classifiers.linear import LinearClassifier, loss_and_gradient
from minisca.progress import progress
from minisca.validation import check_number

#: The square of the constant feature, relative to a dual variable's own curvature. A larger one
#: brings the intercepts sooner to where they should be, and couples the rows more.
CONSTANT = 0.05


def squared_hinge(scores, truth):
    """Sum over rows and classes of max(0, 1 - t s)^2, and its gradient by scores (n, n_classes).

    truth (n,): the class of each row, from 0; t is 1 there, else -1.
    """
    targets = np.full(scores.shape, -1.0)
    targets[np.arange(len(scores)), truth] = 1
    short = np.maximum(0, 1 - targets * scores)
    return np.square(short).sum(), -2 * targets * short


class LinearSVM(LinearClassifier):
    """One support vector machine a class against all others, with the squared hinge and L2.

    Minimises the mean over rows of the sum over classes of max(0, 1 - t s)^2, s a row's score for a
    class and t 1 for the row's own class and -1 for the others; plus `l2 / 2` times the sum of the
    squared weights, none of the intercepts. As in `LogisticRegression`, these are the weights of
    features divided by their root mean square. scikit-learn's `LinearSVC` minimises the same, but
    for its penalty on the intercepts, with C = 1 / (l2 n). Needs memory for a number a row and
    class.

    Parameters
    ----------
    l2 : float > 0, default 1e-2
    max_iter : int >= 1, default 200
        Passes over the features at most. Stopping there is no error; `converged_` tells. Labels are
        predicted as well after about 20.
    tol : float >= 0, default 1e-2
        Stop when no step of a pass had more to put right, in units of the margin, which is 1.
    verbose : bool, default True
        As in `LogisticRegression`.

    Attributes
    ----------
    Those of `LogisticRegression`. With two classes, `decision_function` gives the second's score
    less the first's, which is twice the margin.

    References
    ----------
    C.-J. Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008,
    algorithm 1.

    Examples
    --------
    >>> classifier = LinearSVM().fit(features, labels)
    >>> classifier.score(test_features, test_labels)
    """

    _row_losses = staticmethod(squared_hinge)

    def __init__(self, l2=1e-2, max_iter=200, tol=1e-2, verbose=True):
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose

    def check_parameters(self):
        """As `LogisticRegression.check_parameters`; `l2` must be more than 0."""
        check_number("l2", self.l2, low_open=True)
        super().check_parameters()

    def _minimise(self, problem, max_iter, tol):
        weights, intercept, *ended = descend(problem, max_iter, tol, self.verbose)
        loss, *_ = loss_and_gradient(problem, weights, intercept)
        return weights, intercept, loss, *ended


def descend(problem, max_iter, tol, verbose):
    """The minimum of the squared hinges by coordinate descent in the dual.

    One dual variable, of a row and a class, is changed at a time, to where the dual has its minimum
    along it. Rows come in an order that is drawn anew for every pass, the same in every run.
    Returns weights (n_classes, n_features) and intercepts (n_classes,), float64, the passes made,
    and whether they suffice: whether no step of the last one, and no intercept, had more than `tol`
    to put right, in units of the margin.

    With C = 1 / (l2 n), z a row's features and t its sign for a class, the class's machine
    minimises

        |w|^2 / 2 + C sum_i max(0, 1 - t_i (w z_i + b))^2,

    whose dual variables a_i >= 0 give w = sum_i a_i t_i z_i and minimise

        |w|^2 / 2 + sum_i (a_i^2 / (4 C) - a_i)    where sum_i a_i t_i = 0.

    The condition, which a free intercept b brings, is kept by the method of multipliers: b moves
    along as if it were the weight of a constant feature, and after every pass once more by what the
    condition is still violated. Where that is nothing, b is as free as it should be.
    """
    from minisca.classifiers.kernels.descent import descend_  # Numba takes long to import

    blocks, codes, n_classes, mean, scale, l2, _ = problem
    half_slack = l2 * blocks.n / 2
    # The rows' mean squared length once they are centred: `scale` gave each feature the square 1.
    square = blocks.n_features * max(1 - np.mean((scale * mean) ** 2), 0)
    constant = CONSTANT * (square + half_slack)
    duals = np.zeros((blocks.n, n_classes))
    weights = np.zeros((n_classes, blocks.n_features), blocks.dtype)
    intercepts, balance = np.zeros(n_classes), np.zeros(n_classes)
    centre = mean.astype(blocks.dtype)
    random = np.random.default_rng(0)
    with progress(verbose, total=max_iter, desc="Passes", delay=2, leave=False) as bar:
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
