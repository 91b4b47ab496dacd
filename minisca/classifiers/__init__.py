"""Linear classifiers on the features of a layer, of any number."""

from minisca.classifiers.logistic import LogisticRegression
from minisca.classifiers.softmax_sgd import SoftmaxSGD
from minisca.classifiers.svm import LinearSVM

__all__ = ["LinearSVM", "LogisticRegression", "SoftmaxSGD"]
