"""The linear classifiers: multinomial logistic regression, and a linear support vector machine.

Logistic regression is the classifier of the paper's section 3, on the last layer's pooled maps.
"""

import numpy as np

from minisca.classifiers import lbfgs
from minisca.classifiers.dual import minimise_hinges
from minisca.classifiers.linear import LinearClassifier, loss_and_gradient
from minisca.classifiers.softmax import ScoringClassifier, SoftmaxClassifier, cross_entropy
from minisca.validation import check_number


class LogisticRegression(SoftmaxClassifier, LinearClassifier):
    """Softmax regression with an L2 penalty on the weights and none on the intercepts.

    Minimises the mean over rows of the cross-entropy, plus `l2 / 2` times the sum of the squared
    weights. The weights of that sum are those of features divided by their root mean square (one
    number for all of them), so that a good `l2` does not depend on the features' scale.

    Parameters
    ----------
    l2 : float >= 0, default 1e-3
    max_iter : int >= 1, default 200
        Iterations of L-BFGS at most. Stopping there is no error; `converged_` tells.
    tol : float >= 0, default 1e-4
        Stop when no entry of the gradient is larger than this; of the weights of features shifted
        and scaled to mean 0 and unit variance, and of intercepts that stand at the fourth root of
        the number of features in place of 1.
    verbose : bool, default True
        Show a progress bar when fitting takes longer than two seconds and stderr is a terminal.

    Attributes
    ----------
    classes_ (n_classes,)
        The labels, sorted.
    coef_ (n_classes, n_features), intercept_ (n_classes,)
        Of the raw features; float64 if the features need it, else float32.
    loss_ : float
        The objective reached.
    n_iter_ : int
    converged_ : bool
    n_features_in_ : int

    >>> classifier = LogisticRegression().fit(features, labels)
    >>> classifier.score(test_features, test_labels)
    """

    def __init__(self, l2=1e-3, max_iter=200, tol=1e-4, verbose=True):
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose

    def _row_losses(self, scores, truth):
        return cross_entropy(scores, truth)

    def _minimise(self, problem, max_iter, tol):
        return lbfgs.minimise(problem, self._row_losses, max_iter, tol, self.verbose)


class LinearSVM(ScoringClassifier, LinearClassifier):
    """One support vector machine a class against all others, with the squared hinge and L2.

    Minimises the mean over rows of the sum over classes of max(0, 1 - t s)^2, s a row's score for a
    class and t 1 for the row's own class and -1 for the others; plus `l2 / 2` times the sum of the
    squared weights, none of the intercepts. As in `LogisticRegression`, these are the weights of
    features divided by their root mean square. scikit-learn's `LinearSVC` minimises the same, but
    for its penalty on the intercepts, with C = 1 / (l2 n). The minimum is found by dual coordinate
    descent (see `minisca.classifiers.dual`), with memory for a number a row and class.

    Parameters
    ----------
    l2 : float > 0, default 1e-2
    max_iter : int >= 1, default 200
        Passes over the features at most. Stopping there is no error; `converged_` tells. Labels are
        predicted as well after about 20.
    tol : float >= 0, default 1e-2
        Stop when no step of a pass had more to put right, in units of the margin, which is 1.
    verbose : as in `LogisticRegression`

    Attributes are those of `LogisticRegression`. `decision_function` gives the scores; with two
    classes, the second's less the first's, which is twice the margin.

    >>> classifier = LinearSVM().fit(features, labels)
    >>> classifier.score(test_features, test_labels)
    """

    def __init__(self, l2=1e-2, max_iter=200, tol=1e-2, verbose=True):
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose

    def fit(self, X, y):
        """As `LogisticRegression.fit`; `l2` must be more than 0."""
        check_number("l2", self.l2, low_open=True)
        return super().fit(X, y)

    def _row_losses(self, scores, truth):
        return squared_hinge(scores, truth)

    def _minimise(self, problem, max_iter, tol):
        weights, intercept, *ended = minimise_hinges(problem, max_iter, tol, self.verbose)
        loss, *_ = loss_and_gradient(
            problem.blocks, problem.codes, weights, intercept, problem.scale, problem.l2,
            self._row_losses,
        )  # fmt: skip
        return weights, intercept, loss, *ended


def squared_hinge(scores, truth):
    """Sum over rows and classes of max(0, 1 - t s)^2, and its gradient by the scores.

    scores (n, n_classes); truth (n,): the class of each row, from 0; t is 1 there, else -1. Returns
    float, (n, n_classes).
    """
    targets = np.full(scores.shape, -1.0)
    targets[np.arange(len(scores)), truth] = 1
    short = np.maximum(0, 1 - targets * scores)
    return np.square(short).sum(), -2 * targets * short
