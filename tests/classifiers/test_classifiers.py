"""What both classifiers share: labels, scores, and that scikit-learn takes them."""

import numpy as np
import pytest

from minisca import LinearSVM, LogisticRegression
from minisca.files.checkpoint import CheckpointError
from tests.support.classifier_problems import problem
from tests.support.layers import rewrite

kinds = pytest.mark.parametrize("kind", [LogisticRegression, LinearSVM])


@kinds
def test_two_fits_are_bit_identical(kind):
    features, labels = problem(dtype=np.float32)
    first, second = (kind().fit(features, labels) for _ in range(2))
    assert first.coef_.tobytes() == second.coef_.tobytes()
    assert first.intercept_.tobytes() == second.intercept_.tobytes()


@kinds
@pytest.mark.parametrize("factor", [2.0**-200, 2.0**20])  # powers of two: not even rounding differs
def test_the_scale_of_the_features_changes_nothing_but_the_coefficients(kind, factor):
    features, labels = problem()
    options = {"l2": 0.01, "tol": 1e-9, "max_iter": 1000}
    first = kind(**options).fit(features, labels)
    other = kind(**options).fit(factor * features, labels)
    assert np.array_equal(other.coef_ * factor, first.coef_)
    scores = first.decision_function(features)
    assert np.array_equal(other.decision_function(factor * features), scores)


@pytest.mark.parametrize(
    "names",
    [
        np.array([30, -5, 7]),
        np.array([2, 0, 1], np.uint8),
        np.array(["gull", "auk", "tern"]),
        np.array(["gull", "auk", "tern"], dtype=object),
        np.array([2.0, 0.0, 1.0]),
    ],
)
def test_labels_of_any_kind_come_back_in_sorted_classes(names):
    features, codes = problem()
    classifier = LogisticRegression().fit(features, names[codes])
    assert classifier.classes_.tolist() == sorted(names.tolist())
    assert classifier.score(features, names[codes]) > 0.8
    assert set(classifier.predict(features)) == set(names)


def test_two_classes_have_a_score_a_row_as_in_scikit_learn():
    features, labels = problem(n_classes=2)
    classifier = LogisticRegression().fit(features, labels == 1)
    scores = classifier.decision_function(features)
    assert scores.shape == (120,)
    assert np.array_equal(classifier.predict(features), scores > 0)
    probabilities = classifier.predict_proba(features)
    assert probabilities.shape == (120, 2)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-12)


def test_score_is_the_fraction_that_is_right():
    features, labels = problem()
    classifier = LogisticRegression().fit(features, labels)
    wrong = np.where(np.arange(120) < 30, 99, classifier.predict(features))
    assert classifier.score(features, wrong) == 0.75


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("intercept", None, "lacks the array 'intercept'"),
        ("coef", np.ones(3), r"'coef' has shape \(3,\); it must be"),
        ("intercept", np.ones(4), r"'intercept' has shape \(4,\); it must be \(3\)"),
        ("parameters", {"C": 1.0}, "has other parameters: .*'C'"),
    ],
)
def test_loading_names_what_is_wrong_with_the_file(tmp_path, name, value, message):
    def change(arrays, settings):
        entries = settings if name in settings else arrays
        entries[name] = value
        if value is None:
            del entries[name]

    LogisticRegression().fit(*problem()).save(tmp_path / "classifier.npz")
    rewrite(tmp_path / "classifier.npz", change)
    with pytest.raises(CheckpointError, match=message):
        LogisticRegression.load(tmp_path / "classifier.npz")


def test_clone_pipeline_and_grid_search_work():
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, codes = problem()
    labels = np.array(["auk", "gull", "tern"])[codes]
    classifier = LogisticRegression(l2=0.5).fit(features, labels)
    assert is_classifier(classifier)
    assert repr(clone(classifier)) == "LogisticRegression(l2=0.5)"
    assert not hasattr(clone(classifier), "coef_")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    assert pipeline.fit(features, labels).score(features, labels) > 0.8
    search = GridSearchCV(pipeline, {"logisticregression__l2": [1e6, 1e-2]}, cv=3)
    assert search.fit(features, labels).best_params_ == {"logisticregression__l2": 1e-2}


def test_two_class_scores_fit_scikit_learns_metrics():
    pytest.importorskip("sklearn")
    from sklearn.model_selection import cross_val_score

    features, labels = problem(n_classes=2)
    maps = features.reshape(-1, 3, 2, 2)
    assert cross_val_score(LogisticRegression(), maps, labels, cv=3, scoring="roc_auc").min() > 0.8
