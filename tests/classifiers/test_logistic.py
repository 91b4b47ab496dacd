"""Logistic regression reaches the right minimum, whatever the scale of its features."""

import numpy as np
import pytest

from minisca import LogisticRegression
from minisca.classifiers.logistic import cross_entropy
from tests.support.classifier_problems import objective, problem


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
    fitted = LogisticRegression(l2=0.01).fit(features, labels)
    scale = 1 / np.sqrt(np.mean(features**2))
    learned = fitted.coef_ / scale, fitted.intercept_
    loss, *gradient = objective(features, labels, *learned, scale, 0.01, cross_entropy)
    assert fitted.loss_ == pytest.approx(loss, rel=1e-12)
    assert fitted.converged_
    assert max(np.abs(part).max() for part in gradient) <= 1e-4


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
    classifier = LogisticRegression(max_iter=3).fit(*problem())
    assert (classifier.n_iter_, classifier.converged_) == (3, False)
    assert not recwarn.list


def test_probabilities_are_the_softmax_of_the_scores():
    features, labels = problem()
    classifier = LogisticRegression().fit(features, labels)
    probabilities = classifier.predict_proba(features)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
    exponentials = np.exp(classifier.decision_function(features))
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(1, keepdims=True))
