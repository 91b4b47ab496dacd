"""Multinomial logistic regression: the classifier of the paper's section 3."""

import numpy as np

from minisca.classifiers import lbfgs
from minisca.classifiers.linear import PenalisedClassifier
from minisca.classifiers.problem import loss_and_gradient
from minisca.classifiers.shared import minimise_together
from minisca.types import Array, Features


@np.errstate(under="ignore")  # a number that underflows is 0
def log_softmax(logits):
    """Logarithms of the softmax of each row of logits (n, n_classes); safe from overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@np.errstate(under="ignore")  # a number that underflows is 0
def cross_entropy(logits, truth):
    """Sum over rows of the cross-entropy, and its gradient by the logits (n, n_classes).

    truth (n,): the class of each row, from 0.
    """
    rows = np.arange(len(logits))
    log_probabilities = log_softmax(logits)
    residual = np.exp(log_probabilities)
    residual[rows, truth] -= 1
    return -log_probabilities[rows, truth].sum(), residual


class LogisticRegression(PenalisedClassifier):
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
        Progress bars where fitting takes longer than two seconds, on a terminal or in a notebook.
    backend : str, default "cpu"
        Where it is fitted and scores: "cpu", "cupy", "numba_cuda", or "auto" for the first of these
        devices that runs on this machine. The minimum is the same. Features stay on the device
        while it is fitted, as far as they fit; a warning says how many do not.

    Attributes
    ----------
    backend_ : str
        The name of the backend that is used.
    classes_ : array (n_classes,)
        The labels, sorted.
    coef_ : array (n_classes, n_features)
        Weights of the features as they are; float64 if the features need it, else float32.
    intercept_ : array (n_classes,), of the same dtype
    loss_ : float
        The objective reached.
    n_iter_ : int
    converged_ : bool
    n_features_in_ : int

    References
    ----------
    A. Makhzani and B. Frey, "A winner-take-all method for training sparse convolutional
    autoencoders", arXiv 1409.2752v1, section 3.

    Examples
    --------
    >>> classifier = LogisticRegression().fit(features, labels)
    >>> classifier.score(test_features, test_labels)
    """

    _row_losses = staticmethod(cross_entropy)
    _loss = "cross_entropy"

    def __init__(
        self,
        l2: float = 1e-3,
        max_iter: int = 200,
        tol: float = 1e-4,
        verbose: bool = True,
        backend: str = "cpu",
    ) -> None:
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.backend = backend

    @np.errstate(under="ignore")  # a number that underflows is 0
    def predict_proba(self, X: Features) -> Array:
        """The probability of every class: the softmax of the scores.

        Parameters
        ----------
        X : as of `decision_function`, and what is raised

        Returns
        -------
        float64 array (n, n_classes), in the order of `classes_`
        """
        return np.exp(log_softmax(self._scores(X)))

    def _minimise(self, problem, max_iter, tol, file):
        return lbfgs.minimise(problem, max_iter, tol, self.verbose, file, loss_and_gradient)

    def _minimise_together(self, ranks, blocks, codes, n_classes, goal, file):
        l2, max_iter, tol = goal

        def minimise(problem, loss_and_gradient):
            return lbfgs.minimise(problem, max_iter, tol, self.verbose, file, loss_and_gradient)

        what = blocks, codes, n_classes, l2, self._row_losses
        return minimise_together(ranks, *what, minimise)
