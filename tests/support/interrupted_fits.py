"""Fits of classifiers that are interrupted: what their tests share."""

import numpy as np
import pytest

from minisca import LinearSVM, LogisticRegression
from minisca.classifiers import feature_blocks
from tests.support.classifier_problems import problem
from tests.support.layers import Slices

KINDS = {LogisticRegression: {"tol": 0, "max_iter": 11}, LinearSVM: {"tol": 0, "max_iter": 10}}
kinds = pytest.mark.parametrize("kind", KINDS)
N, WIDTH, CLASSES = 120, 40, 3
KNOWING = N  # reads of a row each: which features they are
ROWS = 24  # a block's, here
BLOCKS = N // ROWS
PASS = {LogisticRegression: BLOCKS, LinearSVM: N // feature_blocks.RUN}  # reads of one


def made(kind, **options):
    return kind(**KINDS[kind] | {"verbose": False} | options)


def data(dtype=np.float32):
    features, labels = problem(N, WIDTH, CLASSES)
    return (features / 7).astype(dtype), labels


def learned(classifier):
    """Everything that was learned, as something that compares."""
    arrays, settings = classifier.to_file()
    arrays = {name: (array.dtype, array.tobytes()) for name, array in arrays.items()}
    return arrays, {name: settings[name] for name in ("loss", "n_iter", "converged")}


def interrupted(path, kind, after, x=None, resume=False):
    """Fit until the read that follows the first `after` passes; the classifier, as it was before.

    A pass is one of the SVM's, or one evaluation of logistic regression's.
    """
    x, y = (data()[0] if x is None else x), data()[1]
    fail_at = KNOWING + BLOCKS + after * PASS[kind] + 1
    classifier = made(kind, max_iter=1).fit(*problem()).set_params(**KINDS[kind])
    before = learned(classifier)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(Slices(x, fail_at=fail_at), y, checkpoint=path, resume=resume)
    assert learned(classifier) == before
    return classifier
