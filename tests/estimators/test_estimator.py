"""Estimators follow scikit-learn's conventions, and scikit-learn itself agrees."""

import subprocess
import sys

import numpy as np
import pytest

from minisca.estimator import Estimator

sklearn = pytest.importorskip("sklearn")
from sklearn.base import clone, is_classifier  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402


class Scaler(Estimator):
    _estimator_type = "transformer"

    def __init__(self, factor=1.0, weights=None):
        self.factor = factor
        self.weights = weights

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return (X - self.mean_) * self.factor


class NearestMean(Estimator):
    _estimator_type = "classifier"

    def __init__(self, power=2, shrink=0.0):
        self.power = power
        self.shrink = shrink

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        means = np.stack([X[y == c].mean(axis=0) for c in self.classes_])
        self.means_ = means * (1 - self.shrink)
        return self

    def predict(self, X):
        distances = (np.abs(X[:, None] - self.means_) ** self.power).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]

    def score(self, X, y):
        return float(np.mean(self.predict(X) == y))


class Chain(Estimator):
    def __init__(self, layers, n_epochs=1):
        self.layers = layers
        self.n_epochs = n_epochs


class OneInside(Estimator):
    def __init__(self, inner=None):
        self.inner = inner


def blobs():
    rng = np.random.default_rng(0)
    y = np.repeat([3, 7, 9], 20)
    return rng.standard_normal((60, 4)) + y[:, None] * [1, -1, 0, 2], y


def test_minisca_does_not_import_scikit_learn():
    code = "import sys, minisca.estimator, minisca.stack; print('sklearn' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout.split() == [b"False"]


# get_params, set_params, repr --------------------------------------------------------------


def test_parameters_are_the_constructor_arguments_unchanged_and_set_params_sets_them():
    weights = [1, 2]
    scaler = Scaler(weights=weights)
    assert scaler.get_params() == {"factor": 1.0, "weights": weights}
    assert scaler.get_params()["weights"] is weights
    assert scaler.set_params(factor=3) is scaler.set_params() is scaler
    assert scaler.factor == 3


@pytest.mark.parametrize("name", ["facto", "mean_", "facto__x"])
def test_an_unknown_parameter_is_refused_with_the_valid_names_and_sets_nothing(name):
    scaler = Scaler()
    message = f"'{name}' is not a parameter of Scaler; it must be one of 'factor', 'weights'"
    with pytest.raises(ValueError, match=message):
        scaler.set_params(**{"factor": 5, name: 1})
    assert scaler.factor == 1.0


def test_parameters_of_listed_estimators_are_reached_by_index():
    layers = [Scaler(factor=1), NearestMean()]
    chain = Chain(layers)
    deep = chain.get_params()
    assert list(chain.get_params(deep=False)) == ["layers", "n_epochs"]
    assert deep["layers__0"] is layers[0]
    assert deep["layers__0__factor"] == 1
    assert deep["layers__1__power"] == 2
    chain.set_params(layers__0__factor=4, layers__1=Scaler(), layers__1__factor=6)
    assert [layer.factor for layer in chain.layers] == [4, 6]
    assert isinstance(layers[1], NearestMean)  # the list that was passed in is not written to
    chain.set_params(layers__0__factor=8, layers=[Scaler()])  # the list first, then its elements
    assert chain.layers[0].factor == 8


def test_parameters_of_an_estimator_argument_are_reached_by_name():
    outer = OneInside(Scaler())
    assert outer.get_params()["inner__factor"] == 1.0
    assert outer.set_params(inner__factor=2).inner.factor == 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layers__2__factor": 1}, "layers has no element '2'; it has 1, from 0"),
        ({"layers__x": 1}, "layers has no element 'x'"),
        ({"layers__0__l2": 1}, "'l2' is not a parameter of Scaler"),
        ({"n_epochs__l2": 1}, "n_epochs is 1, which has no parameter 'l2'"),
    ],
)
def test_an_unknown_nested_parameter_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Chain([Scaler()]).set_params(**parameters)


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(Scaler()) == "Scaler()"
    assert repr(Scaler(factor=2)) == "Scaler(factor=2)"
    assert repr(Scaler(weights=np.arange(2))) == "Scaler(weights=array([0, 1]))"
    assert repr(Chain([Scaler(factor=2)])) == "Chain(layers=[Scaler(factor=2)])"


# With scikit-learn -------------------------------------------------------------------------


def test_clone_copies_parameters_and_not_what_was_learned():
    X, y = blobs()
    fitted = NearestMean(power=1).fit(X, y)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "means_")
    chain = Chain([Scaler(factor=3)], n_epochs=2)
    copied = clone(chain)
    assert copied.layers[0] is not chain.layers[0]
    assert repr(copied) == repr(chain)


def test_scikit_learn_sees_the_estimator_type_and_whether_it_is_fitted():
    X, y = blobs()
    assert is_classifier(NearestMean())
    assert not is_classifier(Scaler())
    with pytest.raises(NotFittedError):
        check_is_fitted(NearestMean())
    check_is_fitted(NearestMean().fit(X, y))


def test_tags_are_those_of_scikit_learns_own_estimators():
    utils = pytest.importorskip("sklearn.utils")
    if not hasattr(utils, "get_tags"):
        pytest.skip("scikit-learn before 1.6 has no get_tags")
    assert utils.get_tags(NearestMean()).target_tags.required
    assert utils.get_tags(NearestMean()).classifier_tags.multi_class
    assert utils.get_tags(Scaler()).transformer_tags is not None
    assert utils.get_tags(Chain([])).estimator_type is None


def test_a_pipeline_fits_predicts_scores_and_shows_itself():
    X, y = blobs()
    pipeline = make_pipeline(Scaler(factor=2), NearestMean()).fit(X, y)
    assert pipeline.score(X, y) == 1.0
    assert set(pipeline.predict(X)) == {3, 7, 9}
    assert is_classifier(pipeline)
    assert "Scaler(factor=2)" in repr(pipeline)
    assert "NearestMean" in pipeline._repr_html_()


def test_a_grid_search_finds_the_best_parameters_through_a_pipeline():
    X, y = blobs()
    pipeline = Pipeline([("scaler", Scaler()), ("classifier", NearestMean())])
    grid = {"scaler__factor": [0.0, 1.0], "classifier__power": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["scaler__factor"] == 1.0
    assert search.best_score_ == 1.0


def test_cross_validation_is_stratified_because_it_is_a_classifier():
    X, y = blobs()  # sorted by class: unstratified folds would score 0
    assert cross_val_score(NearestMean(), X, y, cv=3).tolist() == [1.0, 1.0, 1.0]
