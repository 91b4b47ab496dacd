"""What every classifier gives: scores, labels, and the fraction of labels that are right."""

import numpy as np
from numpy.typing import ArrayLike

from minisca.estimator import Estimator
from minisca.types import Array, Features
from minisca.validation import check_fitted, check_labels


class Classifier(Estimator):
    """A classifier that is fitted once it has `classes_` (n_classes,), sorted, and `coef_`.

    A subclass defines `_scores(X)`, scores (n, n_classes) of X (n, ...), checked; the largest of a
    row is its label's. And `_count(X)`, the n of X, checked as far as that takes no reading.
    """

    _estimator_type = "classifier"
    classes_: Array
    coef_: Array
    intercept_: Array

    def _on_host(self, name, labels):
        """Labels, brought from where the classifier computes, if it may compute on a device."""
        return labels

    def decision_function(self, X: Features) -> Array:
        """Score every class.

        Parameters
        ----------
        X : array (n, ...), as in `fit`

        Returns
        -------
        float array (n, n_classes), in the order of `classes_`
            With two classes, as scikit-learn has it: (n,), the second's score less the first's.

        Raises
        ------
        NotFittedError before `fit`; ValueError or TypeError for an X unlike that of `fit`.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Features) -> Array:
        """The label of the largest score.

        Parameters
        ----------
        X : as of `decision_function`, and what is raised

        Returns
        -------
        array (n,) of the dtype of the labels of `fit`
        """
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]

    def score(self, X: Features, y: ArrayLike) -> float:
        """The fraction of X whose label is predicted.

        Parameters
        ----------
        X : array (n, ...), as in `fit`
        y : array (n,), labels like those of `fit`

        Returns
        -------
        float in [0, 1]

        Raises
        ------
        As `decision_function`; ValueError or TypeError for labels of another number or kind.
        """
        check_fitted(self, "coef_")
        labels = check_labels(self._on_host("y", y), self._count(X))
        if (labels.dtype.kind == "U") != (self.classes_.dtype.kind == "U"):
            raise TypeError(
                f"y has dtype {labels.dtype}; it must be like the labels of fit, "
                f"{self.classes_.dtype}"
            )
        return float(np.mean(self.predict(X) == labels))
