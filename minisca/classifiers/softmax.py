"""What every classifier gives: scores and labels; and probabilities, with a softmax at its end."""

import numpy as np

from minisca.validation import check_fitted, check_labels


def log_softmax(logits):
    """Logarithms of the softmax of each row; safe from overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(logits, truth):
    """Sum over rows of the cross-entropy, and its gradient by the logits.

    logits (n, n_classes); truth (n,): the class of each row, from 0. Returns float, (n, n_classes).
    """
    rows = np.arange(len(logits))
    log_probabilities = log_softmax(logits)
    residual = np.exp(log_probabilities)
    residual[rows, truth] -= 1
    return -log_probabilities[rows, truth].sum(), residual


class ScoringClassifier:
    """For an estimator with `classes_`, `coef_` and `_logits(X)`, (n, n_classes) for n inputs X."""

    _estimator_type = "classifier"

    def decision_function(self, X):
        """Scores of X (n, ...): logits (n, n_classes).

        With two classes, as scikit-learn has it: (n,), the second class's logit less the first's.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X):
        """The label of the largest score of each of X (n, ...): (n,) of the labels' type."""
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=1)]

    def score(self, X, y):
        """The fraction of X (n, ...) whose label in y (n,) is predicted.

        Raises ValueError or TypeError for labels of another number or kind than those of `fit`.
        """
        check_fitted(self, "coef_")
        labels = check_labels(y, self._count(X))
        if (labels.dtype.kind == "U") != (self.classes_.dtype.kind == "U"):
            raise TypeError(
                f"y has dtype {labels.dtype}; it must be like the labels of fit, "
                f"{self.classes_.dtype}"
            )
        return float(np.mean(self.predict(X) == labels))


class SoftmaxClassifier(ScoringClassifier):
    """The same, for logits whose softmax are probabilities."""

    def predict_proba(self, X):
        """Probabilities of X (n, ...): (n, n_classes), in `classes_`'s order."""
        return np.exp(log_softmax(self._logits(X)))
