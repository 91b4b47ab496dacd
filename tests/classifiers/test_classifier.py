"""Logistic regression: the right minimum, its labels, its files, and with scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest

from minisca.classifiers.classifier import LogisticRegression
from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.linear import loss_and_gradient
from minisca.files.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tests.support.classifier_problems import problem


def test_importing_the_classifier_does_not_import_scipy():
    code = "import sys, minisca.classifiers.classifier; print('scipy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout.split() == [b"False"]


# The objective ------------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_gradient_is_the_derivative_of_the_loss(l2):
    # The loss is smooth: a five-point stencil errs by h^4, rounding by 1e-16 / h.
    features, codes = problem()
    blocks = FeatureBlocks(features, block_bytes=1000)
    rng = np.random.default_rng(1)
    weights, intercept = rng.standard_normal((3, 12)), rng.standard_normal(3)
    scale, step = 0.1, 1e-3

    def loss(t):
        moved = (weights + t * d_weights, intercept + t * d_intercept)
        return loss_and_gradient(blocks, codes, *moved, scale, l2)[0]

    for _ in range(5):
        d_weights, d_intercept = rng.standard_normal((3, 12)), rng.standard_normal(3)
        slope = (loss(-2 * step) - 8 * loss(-step) + 8 * loss(step) - loss(2 * step)) / (12 * step)
        _, g_weights, g_intercept = loss_and_gradient(blocks, codes, weights, intercept, scale, l2)
        expected = np.vdot(g_weights, d_weights) + np.vdot(g_intercept, d_intercept)
        assert slope == pytest.approx(expected, rel=1e-9, abs=1e-10)


def test_loss_is_the_mean_cross_entropy_plus_the_penalty_of_the_weights_alone():
    features, codes = problem()
    weights = np.random.default_rng(1).standard_normal((3, 12))
    intercept = np.array([3.0, -1.0, 0.5])
    exponentials = np.exp(0.1 * features @ weights.T + intercept)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(120), codes]).mean() + 0.2 / 2 * (weights**2).sum()
    loss = loss_and_gradient(FeatureBlocks(features), codes, weights, intercept, 0.1, 0.2)[0]
    assert loss == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_blocked_is_unblocked(dtype, tolerance):
    features, codes = problem(dtype=dtype)
    weights = np.random.default_rng(1).standard_normal((3, 12))
    whole = loss_and_gradient(FeatureBlocks(features), codes, weights, np.ones(3), 0.1, 0.01)
    for block_bytes in (1, 1000, 7000):
        blocks = FeatureBlocks(features, block_bytes=block_bytes)
        parts = loss_and_gradient(blocks, codes, weights, np.ones(3), 0.1, 0.01)
        for part, reference in zip(parts, whole, strict=True):
            np.testing.assert_allclose(part, reference, rtol=tolerance, atol=tolerance)


def test_logits_in_the_thousands_do_not_overflow():
    features, codes = problem()
    loss, *gradients = loss_and_gradient(
        FeatureBlocks(features), codes, np.full((3, 12), 1e4) * [[1], [2], [3]], np.zeros(3), 1.0, 0
    )
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


# The minimum --------------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [1e-3, 0.1])
def test_the_minimum_is_scikit_learns(l2):
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = problem()
    ours = LogisticRegression(l2=l2, tol=1e-10, max_iter=5000).fit(features, labels)
    scale = 1 / np.sqrt(np.mean(features**2))
    # scikit-learn minimises C * sum(cross-entropy) + |w|^2 / 2.
    theirs = linear_model.LogisticRegression(C=1 / (120 * l2), tol=1e-10, max_iter=5000)
    theirs.fit(scale * features, labels)
    held_out, _ = problem(seed=0, n=90)
    np.testing.assert_allclose(
        ours.predict_proba(held_out), theirs.predict_proba(scale * held_out), atol=1e-6
    )
    np.testing.assert_allclose(ours.coef_, scale * theirs.coef_, atol=1e-6)
    assert np.array_equal(ours.predict(held_out), theirs.predict(scale * held_out))


def test_the_loss_reached_is_the_objective_at_the_coefficients():
    features, labels = problem()
    classifier = LogisticRegression(l2=0.01).fit(features, labels)
    scale = 1 / np.sqrt(np.mean(features**2))
    loss, d_weights, d_intercept = loss_and_gradient(
        FeatureBlocks(features),
        labels,
        classifier.coef_ / scale,
        classifier.intercept_,
        scale,
        0.01,
    )
    assert classifier.loss_ == pytest.approx(loss, rel=1e-12)
    assert classifier.converged_
    assert max(np.abs(d_weights).max(), np.abs(d_intercept).max()) <= 1e-4


def test_what_all_features_have_in_common_costs_no_iterations():
    features, labels = problem()
    features /= np.sqrt(np.mean(features**2))
    plain = LogisticRegression(l2=0, tol=1e-6).fit(features, labels)
    offset = LogisticRegression(l2=0, tol=1e-6).fit(features + 100, labels)
    assert plain.converged_
    assert offset.converged_
    assert offset.n_iter_ <= 2 * plain.n_iter_
    np.testing.assert_allclose(
        offset.predict_proba(features + 100), plain.predict_proba(features), atol=1e-4
    )


def test_intercepts_keep_up_with_many_features():
    """Each feature 1,024 times, their penalty as many times: the same scores, reached as soon."""
    features, labels = problem(n=240)
    labels = labels % 2  # one class twice as frequent
    once = LogisticRegression(l2=0.01, tol=1e-6).fit(features, labels)
    often = LogisticRegression(l2=0.01 * 1024, tol=1e-6).fit(np.tile(features, 1024), labels)
    assert often.loss_ == pytest.approx(once.loss_, rel=1e-6)
    assert often.n_iter_ <= 1.5 * once.n_iter_  # with intercepts of a constant 1: twice


def test_the_scale_of_the_features_changes_nothing_but_the_coefficients():
    features, labels = problem()
    first = LogisticRegression(l2=0.01, tol=1e-9, max_iter=1000).fit(features, labels)
    for factor in (2.0**-200, 2.0**20):  # powers of two: not even rounding differs
        other = LogisticRegression(l2=0.01, tol=1e-9, max_iter=1000).fit(factor * features, labels)
        assert np.array_equal(other.coef_ * factor, first.coef_)
        assert np.array_equal(other.predict_proba(factor * features), first.predict_proba(features))


@pytest.mark.parametrize("factor", [1e-25, 1e25])
def test_float32_features_whose_squares_leave_float32_are_fitted(factor):
    features, labels = problem(dtype=np.float32)
    reference = LogisticRegression(l2=0.01).fit(features, labels)
    classifier = LogisticRegression(l2=0.01).fit(features * np.float32(factor), labels)
    assert classifier.loss_ == pytest.approx(reference.loss_, rel=1e-3)


def test_the_penalty_leaves_the_intercepts_free():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    features = np.random.default_rng(0).standard_normal((100, 5))
    classifier = LogisticRegression(l2=1e6, tol=1e-9).fit(features, labels)
    assert np.abs(classifier.coef_).max() < 1e-5
    np.testing.assert_allclose(classifier.predict_proba(features)[0], [0.6, 0.3, 0.1], atol=1e-5)


def test_all_zero_features_give_the_class_frequencies():
    classifier = LogisticRegression(tol=1e-9).fit(np.zeros((10, 3)), np.arange(10) % 5 // 2)
    np.testing.assert_allclose(classifier.predict_proba(np.zeros((1, 3)))[0], [0.4, 0.4, 0.2], 1e-6)
    assert not classifier.coef_.any()


def test_stopping_at_max_iter_is_recorded_and_no_warning(recwarn):
    features, labels = problem()
    classifier = LogisticRegression(max_iter=3).fit(features, labels)
    assert (classifier.n_iter_, classifier.converged_) == (3, False)
    assert not recwarn.list


def test_two_fits_are_bit_identical():
    features, labels = problem(dtype=np.float32)
    first, second = (LogisticRegression().fit(features, labels) for _ in range(2))
    assert first.coef_.tobytes() == second.coef_.tobytes()
    assert first.intercept_.tobytes() == second.intercept_.tobytes()


# What the labels may be ---------------------------------------------------------------------


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


def test_probabilities_are_the_softmax_of_the_scores():
    features, labels = problem()
    classifier = LogisticRegression().fit(features, labels)
    probabilities = classifier.predict_proba(features)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
    exponentials = np.exp(classifier.decision_function(features))
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(1, keepdims=True))


def test_score_is_the_fraction_that_is_right():
    features, labels = problem()
    classifier = LogisticRegression().fit(features, labels)
    wrong = np.where(np.arange(120) < 30, 99, classifier.predict(features))
    assert classifier.score(features, wrong) == 0.75


# Saving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [np.array([5, 6, 7]), np.array(["auk", "gull", "tern"])])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_saved_classifier_comes_back_bit_for_bit(tmp_path, names, dtype):
    features, codes = problem(dtype=dtype)
    saved = LogisticRegression(l2=0.02, max_iter=9, verbose=False).fit(features, names[codes])
    saved.save(tmp_path / "classifier")
    loaded = LogisticRegression.load(tmp_path / "classifier")
    assert loaded.get_params() == saved.get_params()
    assert vars(loaded).keys() == vars(saved).keys()
    for name, value in vars(saved).items():
        found = getattr(loaded, name)
        assert type(found) is type(value)
        assert np.array_equal(found, value)
        assert np.asarray(found).dtype == np.asarray(value).dtype
    scores = saved.decision_function(features)
    assert loaded.decision_function(features).tobytes() == scores.tobytes()


def test_loading_names_what_is_wrong_with_the_file(tmp_path):
    path = tmp_path / "classifier.npz"
    LogisticRegression().fit(*problem()).save(path)
    arrays, settings = load_checkpoint(path, "LogisticRegression")

    def refused(message, kind="LogisticRegression", **changes):
        changed = {**arrays, **changes.pop("arrays", {})}
        changed = {name: array for name, array in changed.items() if array is not None}
        save_checkpoint(path, kind, changed, {**settings, **changes})
        with pytest.raises(CheckpointError, match=message):
            LogisticRegression.load(path)

    refused("holds a Stack; it must hold a LogisticRegression", kind="Stack")
    refused("lacks the array 'intercept'", arrays={"intercept": None})
    refused(r"'coef' has shape \(3,\); it must be", arrays={"coef": np.ones(3)})
    refused(r"'intercept' has shape \(4,\); it must be \(3\)", arrays={"intercept": np.ones(4)})
    refused("has other parameters: .*'C'", parameters={"C": 1.0})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        LogisticRegression.load(path)


# With scikit-learn ---------------------------------------------------------------------------


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
