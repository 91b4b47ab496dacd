"""What every classifier with a softmax at its end gives: scores, probabilities, labels."""

import numpy as np

from minisca.validation import check_fitted, check_labels


def log_softmax(logits):
    """Logarithms of the softmax of each row; safe from overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


class SoftmaxClassifier:
    """For an estimator with `classes_`, `coef_` and `_logits(X)`, (n, n_classes) for n inputs X."""

    _estimator_type = "classifier"

    def decision_function(self, X):
        """Scores of X (n, ...): logits (n, n_classes).

        With two classes, as scikit-learn has it: (n,), the second class's logit less the first's.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X):
        """Probabilities of X (n, ...): (n, n_classes), in `classes_`'s order."""
        return np.exp(log_softmax(self._logits(X)))

    def predict(self, X):
        """The most probable label of each of X (n, ...): (n,) of the labels' type."""
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
