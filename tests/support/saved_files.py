"""One small fitted estimator of each kind, for tests that save it, damage the file and load it."""

import numpy as np

from minisca import LinearSVM, LogisticRegression, Stack
from minisca.preprocessing import ZCA
from tests.support.baselines import autoencoder, bars, network, patches, pictures, triangle
from tests.support.layers import images, layer

X = images(n=12)
ROWS, WORDS = X.reshape(12, -1), np.array(["one", "two", "three"])[np.arange(12) % 3]
QUICK = {"max_iter": 5, "verbose": False}

#: {name: function that makes it}.
FITTED = {
    "layer": lambda: layer().fit(X),
    "tied": lambda: layer(tied=True, dtype="float64").fit(X),
    "stack": lambda: Stack([layer(n_maps=3), layer(n_maps=5)]).fit(X),
    "logistic": lambda: LogisticRegression(l2=0.01, **QUICK).fit(ROWS, WORDS),
    "svm": lambda: LinearSVM(**QUICK).fit(ROWS.astype(np.float64), np.arange(12) % 4),
    "zca": lambda: ZCA().fit(np.random.default_rng(0).random((50, 2, 4, 5))),
    "convnet": lambda: network().fit(*bars()),
    "k-sparse": lambda: autoencoder().fit(patches()),
    "triangle": lambda: triangle(standardise=True).fit(pictures()),
}


def contents(estimator):
    """Everything in a file of the estimator, as something that compares."""
    arrays, settings = estimator.to_file()
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}, settings
