"""Where NumPy is told to raise whatever happens to a number, everything works as it does else."""

import numpy as np
import pytest

from minisca import LinearSVM, LogisticRegression, SoftmaxSGD
from minisca.preprocessing import ZCA
from tests.support.layers import images, layer

#: Features so far apart that the probabilities of the wrong classes underflow.
FEATURES = np.concatenate([images(20), 5000 + images(20, seed=1), 1e-30 * images(20, seed=2)])
LABELS = np.repeat([0, 1, 2], 20)


def use_layer():
    made = layer(n_epochs=2).fit(images())
    made.partial_fit(1e-40 * images().astype(np.float64))
    return made.transform(images()), made.reconstruct(images()), made.score(images())


def use_classifier(made):
    scores = made.fit(FEATURES, LABELS).decision_function(FEATURES)
    return (scores, made.predict_proba(FEATURES)) if hasattr(made, "predict_proba") else (scores,)


def use_whitening():
    made = ZCA().fit(images())
    tiny = 1e-50 * images().astype(np.float64)
    return made.transform(tiny), made.inverse_transform(tiny), made.transform(images())


@pytest.mark.parametrize(
    "use",
    [
        use_layer,
        lambda: use_classifier(LogisticRegression(max_iter=30)),
        lambda: use_classifier(LinearSVM(max_iter=30)),
        lambda: use_classifier(SoftmaxSGD(random_state=0)),
        use_whitening,
    ],
    ids=["layer", "logistic", "svm", "sgd", "whitening"],
)
def test_it_works_where_numpy_raises_every_error(use):
    wanted = use()
    with np.errstate(all="raise"):
        found = use()
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
