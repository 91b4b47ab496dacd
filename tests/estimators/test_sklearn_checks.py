"""scikit-learn's own checks of estimators: all of them on classifiers, most on what takes images.

Its data are rows (n, features). What takes images gets each row as one of a single line of pixels.
"""

import functools
import warnings

import numpy as np
import pytest

import minisca
from minisca.baselines import KSparseAutoencoder, SupervisedConvNet, TriangleKMeans
from minisca.preprocessing import ZCA

checks = pytest.importorskip("sklearn.utils.estimator_checks")
pytest.importorskip("sklearn", "1.6", reason="an older scikit-learn knows no tags of estimators")

QUICK = {"verbose": False}
SMALL = {"dtype": "float64", "learning_rate": 1e-3, "random_state": 0, "backend": "cpu"} | QUICK
LAYER = {"n_maps": 3, "filter_width": 3, "pool_width": 1, "pool_stride": 1, "n_epochs": 2} | SMALL

CLASSIFIERS = [
    minisca.LogisticRegression(max_iter=50, **QUICK),
    minisca.LinearSVM(max_iter=50, **QUICK),
    minisca.SoftmaxSGD(**QUICK),
]

#: Which checks need rows and not images, whatever shape these have, and why.
FOR_ROWS = {
    "check_complex_data": "images of another type are a TypeError",
    "check_dtype_object": "images are read from files: objects are no pixels",
    "check_estimators_empty_data_messages": "the message tells the four sides",
    "check_estimator_sparse_tag": "a sparse matrix has no images",
    "check_estimator_sparse_array": "a sparse matrix has no images",
    "check_estimator_sparse_matrix": "a sparse matrix has no images",
    "check_n_features_in": "images have channels and a size",
    "check_n_features_in_after_fitting": "images have channels and a size",
    "check_fit2d_predict1d": "the message asks for images",
}


def in_a_line(method):
    """The method, with rows X as images (n, 1, 1, features)."""

    @functools.wraps(method)
    def taking_rows(self, X, *args, **options):
        X = np.asarray(X)
        return method(self, X[:, None, None] if X.ndim == 2 else X, *args, **options)

    return taking_rows


def of_rows(kind):
    """A subclass whose methods take rows. It has a name in this module, as pickle wants it."""
    methods = ("fit", "partial_fit", "transform", "score", "predict", "predict_proba")
    methods += ("decision_function", "fit_transform")
    taking = {name: in_a_line(getattr(kind, name)) for name in methods if hasattr(kind, name)}
    name = f"{kind.__name__}OfRows"
    made = type(name, (kind,), taking | {"_takes_images": False, "__module__": __name__})
    globals()[name] = made
    return made


layer = minisca.SparseConvAutoencoder(**LAYER)
OF_IMAGES = [
    of_rows(minisca.SparseConvAutoencoder)(**LAYER, flat=True),
    of_rows(minisca.Stack)([layer, layer], flat=True),
    of_rows(ZCA)(),
    of_rows(TriangleKMeans)(3, patch_width=1, grid=1, n_iterations=3, random_state=0, **QUICK),
    of_rows(KSparseAutoencoder)(5, n_active=2, n_active_start=None, n_epochs=2, **SMALL),
    of_rows(SupervisedConvNet)(3, 3, 1, 1, **SMALL | {"learning_rate": 1.0}),
]


def named(made):
    return type(made).__name__


def results(made):
    """{name of a check: its exception, or None}, but of those that are skipped."""
    with warnings.catch_warnings(action="ignore"):
        done = checks.check_estimator(made, on_fail=None, on_skip=None)
    assert len(done) > 40
    found = {}
    for check in done:
        if check["status"] != "skipped":
            name = check["check_name"]
            found[name] = found.get(name) or check["exception"]
    return found


@pytest.mark.parametrize("made", CLASSIFIERS, ids=named)
def test_a_classifier_passes_every_check(made):
    assert {name: error for name, error in results(made).items() if error} == {}


@pytest.mark.parametrize("made", OF_IMAGES, ids=named)
def test_what_takes_images_passes_every_check_that_does_not_need_rows(made):
    failed = {name: error for name, error in results(made).items() if error}
    assert {name: error for name, error in failed.items() if name not in FOR_ROWS} == {}
