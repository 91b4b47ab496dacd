"""The linear SVM: the right gradient, the right minimum, and what it shares with the regression."""

import numpy as np
import pytest
from classifier_problems import problem

from minisca import LinearSVM, LogisticRegression
from minisca.classifier import squared_hinge
from minisca.feature_blocks import FeatureBlocks
from minisca.linear import loss_and_gradient
from minisca.validation import NotFittedError


def test_loss_is_the_mean_of_the_squared_hinges_plus_the_penalty_of_the_weights_alone():
    features, codes = problem()
    weights = np.random.default_rng(1).standard_normal((3, 12))
    intercept = np.array([3.0, -1.0, 0.5])
    expected = 0.0
    for row, code in zip(features, codes, strict=True):
        for c in range(3):
            margin = (1 if c == code else -1) * (0.1 * row @ weights[c] + intercept[c])
            expected += max(0, 1 - margin) ** 2 / 120
    expected += 0.2 / 2 * (weights**2).sum()
    blocks = FeatureBlocks(features, block_bytes=1000)
    loss = loss_and_gradient(blocks, codes, weights, intercept, 0.1, 0.2, squared_hinge)[0]
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_gradient_is_the_derivative_of_the_loss(l2):
    # Within a piece the loss is quadratic: a central difference is exact but for rounding, of
    # about 1e-16 x loss / step, and no margin is within the step of 1, where the pieces meet.
    features, codes = problem()
    blocks = FeatureBlocks(features, block_bytes=1000)
    rng = np.random.default_rng(1)
    weights, intercept = rng.standard_normal((3, 12)), rng.standard_normal(3)
    scale, step = 0.1, 1e-6

    def at(t):
        moved = (weights + t * d_weights, intercept + t * d_intercept)
        loss, *gradient = loss_and_gradient(blocks, codes, *moved, scale, l2, squared_hinge)
        scores = scale * features @ moved[0].T + moved[1]
        signs = np.where(np.arange(3) == codes[:, None], 1, -1)
        return loss, gradient, signs * scores < 1

    for _ in range(5):
        d_weights, d_intercept = rng.standard_normal((3, 12)), rng.standard_normal(3)
        (low, _, below), (_, gradient, _), (high, _, above) = at(-step), at(0), at(step)
        assert np.array_equal(below, above), "the step crosses a kink: draw other inputs"
        expected = np.vdot(gradient[0], d_weights) + np.vdot(gradient[1], d_intercept)
        assert (high - low) / (2 * step) == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("l2", [1e-2, 0.3])
def test_the_minimum_is_scikit_learns(l2, n_classes):
    svm = pytest.importorskip("sklearn.svm")
    features, labels = problem(n_classes=n_classes)
    ours = LinearSVM(l2=l2, tol=1e-10, max_iter=5000).fit(features, labels)
    scale = 1 / np.sqrt(np.mean(features**2))
    # It penalises the intercept too, at this scale by 1e-6 of what a weight's penalty is.
    theirs = svm.LinearSVC(
        C=1 / (120 * l2), dual=False, tol=1e-12, max_iter=100_000, intercept_scaling=1e3
    )
    theirs.fit(scale * features, labels)
    held_out, _ = problem(n=90, seed=1)
    expected = theirs.decision_function(scale * held_out)
    scores = ours.decision_function(held_out)
    # A penalty of l2 1e-6 / 2 on an intercept of order 1 moves it by about 1e-6.
    np.testing.assert_allclose(scores / (2 if n_classes == 2 else 1), expected, atol=1e-4)
    assert np.array_equal(ours.predict(held_out), theirs.predict(scale * held_out))


def test_float16_and_slices_are_read_as_by_the_regression():
    features, labels = problem()
    halves = features.astype(np.float16)
    single = LinearSVM().fit(halves.astype(np.float32), labels)
    assert np.array_equal(LinearSVM().fit(halves, labels).coef_, single.coef_)
    assert single.coef_.dtype == np.float32
    assert single.converged_


def test_the_scale_of_the_features_changes_nothing_but_the_coefficients():
    features, labels = problem()
    first, other = (LinearSVM().fit(factor * features, labels) for factor in (1.0, 2.0**20))
    assert np.array_equal(other.coef_ * 2.0**20, first.coef_)


def test_it_has_scores_and_labels_but_no_probabilities():
    features, labels = problem()
    classifier = LinearSVM().fit(features, labels)
    assert classifier.score(features, labels) > 0.8
    assert not hasattr(classifier, "predict_proba")
    with pytest.raises(NotFittedError, match="this LinearSVM is not fitted yet"):
        LinearSVM().predict(features)


def test_a_saved_machine_comes_back_and_is_no_regression(tmp_path):
    features, labels = problem()
    saved = LinearSVM(l2=0.02, max_iter=9).fit(features, labels)
    saved.save(tmp_path / "svm.npz")
    loaded = LinearSVM.load(tmp_path / "svm.npz")
    assert loaded.get_params() == saved.get_params()
    assert np.array_equal(loaded.predict(features), saved.predict(features))
    with pytest.raises(ValueError, match="holds a LinearSVM; it must hold a LogisticRegression"):
        LogisticRegression.load(tmp_path / "svm.npz")
