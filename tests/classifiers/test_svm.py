"""The linear SVM reaches the right minimum, by any number of threads and in any order of rows."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from minisca import LinearSVM
from minisca.classifiers.kernels.descent import GROUP, descend_, in_tiles, out_of_tiles
from minisca.classifiers.svm import FIRST_SLEEP, squared_hinge
from tests.support.classifier_problems import objective, problem


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


def test_at_the_minimum_the_gradient_is_nothing():
    # Of the objective itself, which the descent in the dual never looks at; intercepts included.
    features, codes = problem(n_classes=4)
    svm = LinearSVM(l2=0.05, tol=1e-12, max_iter=20_000).fit(features + 20, codes)
    assert svm.converged_
    scale = 1 / np.sqrt(np.mean((features + 20) ** 2))
    learned = svm.coef_ / scale, svm.intercept_
    loss, *gradient = objective(features + 20, codes, *learned, scale, 0.05, squared_hinge)
    assert svm.loss_ == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(gradient[0], 0, atol=1e-8)
    np.testing.assert_allclose(gradient[1], 0, atol=1e-8)


def test_of_features_that_say_nothing_the_intercept_is_the_minimum():
    # Of n rows k are of a class: its score s minimises k (1 - s)^2 + (n - k) (1 + s)^2.
    labels = np.array([0] * 6 + [1] * 3 + [2])
    svm = LinearSVM(tol=1e-10, max_iter=5000).fit(np.zeros((10, 4)), labels)
    np.testing.assert_allclose(svm.intercept_, 2 * np.array([0.6, 0.3, 0.1]) - 1, atol=1e-8)
    assert not svm.coef_.any()


def descend_in_loops(
    block, places, rows, codes, mean, scale, half_slack, constant, duals, machines
):
    """What `descend_` does, row by row and class by class."""
    weights, intercepts, balance, violations = machines
    for place, i in zip(places, rows, strict=True):
        row = (block[place] - mean) * scale
        curvature = row @ row + constant + half_slack
        for c in range(len(weights)):
            sign = 1 if codes[i] == c else -1
            a = duals[i, c]
            gradient = sign * (row @ weights[c] + intercepts[c]) - 1 + half_slack * a
            change = max(-a, -gradient / curvature)
            violations[c] = max(violations[c], abs(change * curvature))
            duals[i, c] += change
            weights[c] += sign * change * row
            intercepts[c] += constant * sign * change
            balance[c] += sign * change


@pytest.mark.parametrize("n_classes", [2, 3, 11])
@pytest.mark.parametrize("n_features", [1, 12, 511, 1100])
@pytest.mark.parametrize("n", [1, GROUP, 2 * GROUP + 7])
def test_a_pass_over_a_block_is_the_one_in_plain_loops(n, n_features, n_classes):
    rng = np.random.default_rng(0)
    features, codes = problem(n=2 * n, n_features=n_features, n_classes=n_classes)
    rows, places = rng.permutation(2 * n)[:n], rng.permutation(n + 3)[:n]
    block = rng.standard_normal((n + 3, n_features))  # rows of it that do not come
    block[places] = features[rows]
    mean = features.mean(axis=0)
    what = block, places, rows, codes, mean, 0.1, 0.7, 2.0
    states = [
        (np.zeros((2 * n, n_classes)), np.zeros((n_classes, n_features)), np.zeros((3, n_classes)))
        for _ in range(2)
    ]
    for _ in range(3):  # duals that are 0, that grow and that fall to 0 again
        for descend, (duals, weights, others) in zip(
            (descend_, descend_in_loops), states, strict=True
        ):
            others[2] = 0
            tiled = in_tiles(weights)
            descend(*what, duals, (tiled if descend is descend_ else weights, *others))
            if descend is descend_:
                weights[:] = out_of_tiles(tiled, n_features)
        for found, right in zip(*states, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)
    duals = states[0][0]
    assert (duals[rows] == 0).any() or n == 1 or n_classes == 2
    assert (duals[rows] > 0).any()


@pytest.mark.parametrize("shape", [(3, 1), (2, 512), (5, 700)])
def test_weights_in_tiles_are_the_same_weights(shape):
    weights = np.random.default_rng(0).standard_normal(shape)
    assert np.array_equal(out_of_tiles(in_tiles(weights), shape[1]), weights)


def test_passes_end_at_max_iter_or_when_nothing_is_larger_than_tol():
    features, labels = problem()
    few = LinearSVM(max_iter=3).fit(features, labels)
    assert (few.n_iter_, few.converged_) == (3, False)
    loose, tight = (LinearSVM(tol=tol, max_iter=9999).fit(features, labels) for tol in (0.1, 1e-6))
    assert loose.converged_ is tight.converged_ is True
    assert loose.n_iter_ < tight.n_iter_ < 9999
    assert tight.loss_ <= loose.loss_ <= few.loss_


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("which", [0, 2])
def test_passes_go_on_while_one_intercept_has_more_than_tol_to_put_right(monkeypatch, which, sign):
    """No step of a row has anything to put right here; what an intercept has halves each time."""
    passes = []

    def halve(
        block, places, rows, codes, mean, scale, half_slack, constant, duals, machines, sleep
    ):
        passes.append(len(rows))
        _, _, balance, violations = machines
        balance[which] = sign * 8 * 0.01 / constant / 2 ** len(passes)
        assert not violations.any()

    monkeypatch.setattr("minisca.classifiers.kernels.descent.descend_", halve)
    features, labels = problem(n=32)  # whole runs of rows: a pass is one block
    for limit, made in ((9, 3), (3, 3), (2, 2)):
        passes.clear()
        svm = LinearSVM(tol=0.0101, max_iter=limit).fit(features, labels)
        assert (svm.n_iter_, svm.converged_) == (made, made == 3)


def test_variables_that_sleep_change_nothing_but_the_way_to_the_minimum(monkeypatch):
    features, labels = problem(n=300, n_classes=4)
    seen = []

    def watched(*arguments):
        descend_(*arguments)
        seen.append(np.signbit(arguments[8]).mean())

    monkeypatch.setattr("minisca.classifiers.kernels.descent.descend_", watched)
    settings = {"tol": 1e-8, "max_iter": 20_000}
    asleep = LinearSVM(**settings).fit(features, labels)
    assert max(seen[:FIRST_SLEEP]) == 0
    assert max(seen) > 0.5
    twenty = LinearSVM(max_iter=FIRST_SLEEP, tol=0).fit(features, labels)
    monkeypatch.setattr("minisca.classifiers.svm.FIRST_SLEEP", 10**9)
    awake, short = (
        LinearSVM(**how).fit(features, labels)
        for how in (settings, {"max_iter": FIRST_SLEEP, "tol": 0})
    )
    assert asleep.converged_ is awake.converged_ is True
    # A hundredth of what the default tolerance allows.
    np.testing.assert_allclose(
        asleep.decision_function(features), awake.decision_function(features), atol=1e-4
    )
    assert asleep.loss_ == pytest.approx(awake.loss_, rel=1e-8)
    assert np.array_equal(twenty.coef_, short.coef_)


def test_the_last_pass_that_is_allowed_may_be_the_one_that_suffices():
    features, labels = problem()
    n_iter = LinearSVM(max_iter=9999).fit(features, labels).n_iter_
    assert 1 < n_iter < 9999
    for limit, converged in ((n_iter - 1, False), (n_iter, True), (n_iter + 1, True)):
        svm = LinearSVM(max_iter=limit).fit(features, labels)
        assert (svm.n_iter_, svm.converged_) == (min(limit, n_iter), converged)


def test_any_number_of_threads_gives_the_same():
    features, labels = problem(n=300, n_features=2000, n_classes=5)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(LinearSVM(max_iter=30).fit(features, labels))
    assert np.array_equal(found[0].coef_, found[1].coef_)
    assert np.array_equal(found[0].intercept_, found[1].intercept_)


def test_rows_sorted_by_class_are_learned_as_well(monkeypatch):
    # A block of 40 rows: what stands together must not be what comes together.
    monkeypatch.setattr("minisca.classifiers.feature_blocks.BLOCK_BYTES", 40 * 12 * 8)
    features, labels = problem(n=600)
    order = np.argsort(labels, kind="stable")
    mixed, in_order = (
        LinearSVM(max_iter=30, tol=0).fit(features[rows], labels[rows])
        for rows in (np.arange(600), order)
    )
    assert in_order.loss_ == pytest.approx(mixed.loss_, rel=1e-3)


def test_a_penalty_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"l2 is 0; it must be a number in \(0, inf\)"):
        LinearSVM(l2=0).fit(*problem())


def test_it_has_scores_and_labels_but_no_probabilities():
    features, labels = problem()
    classifier = LinearSVM().fit(features, labels)
    assert classifier.score(features, labels) > 0.8
    assert not hasattr(classifier, "predict_proba")
