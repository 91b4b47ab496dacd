"""What the classifier refuses, naming the argument, and what it leaves as it was then."""

import numpy as np
import pytest

from minisca import LinearSVM, LogisticRegression
from minisca.validation import NotFittedError
from tests.support.classifier_problems import problem

X, Y = problem(n=6)
HOLED = X.copy()
HOLED[4, 1] = np.nan


@pytest.mark.parametrize(
    ("features", "labels", "error", "message"),
    [
        (X, Y[:5], ValueError, r"y has 5 labels; it must have 6, one a row of X"),
        (X, np.stack([Y, Y], 1), ValueError, r"y has shape \(6, 2\); it must be \(n,\)"),
        (X, None, ValueError, r"fit requires y to be passed, but the target y is None; it must"),
        (X, 0 * Y, ValueError, r"y has one class, .*0.*; it must have two or more"),
        (X, Y + 0.5, ValueError, r"y has the label 0\.5 in row 0; .* text, none continuous"),
        (X, np.where(Y == 1, np.nan, Y), ValueError, r"y has the label nan in row 1"),
        (X, Y + 2.0**63, ValueError, r"y has the label 9\.22\S+ in row 0; .* below 2\^63"),
        (X, Y - 2.0**63, ValueError, r"y has the label -9\.22\S+ in row 0; .* below 2\^63"),
        (X, Y + 1j, TypeError, r"y has dtype complex128; labels must be whole numbers or text"),
        (X, [None] * 6, TypeError, r"Unknown label type: y has dtype object; labels must be"),
        (X[:, 0], Y, ValueError, r"X has shape \(6,\); it must be \(n, \.\.\.\) of rank 2 or more"),
        (X[:0], Y[:0], ValueError, r"X has 0 sample\(s\) \(shape=\(0, 12\)\) while .* No side may"),
        (X[:, :0], Y, ValueError, r"X has 0 feature\(s\) \(shape=\(6, 0\)\) while a minimum of 1"),
        (X * 1j, Y, ValueError, r"Complex data not supported: X has complex128; it must be a real"),
        (np.full((6, 2), {}, object), Y, TypeError, r"X is a ndarray that is no array \(float\("),
        (np.full((6, 2), "a", object), Y, ValueError, r"X is a ndarray that is no array \(could"),
        (X.astype(str), Y, TypeError, r"X has dtype <U\d+; it must be a real number type"),
        (HOLED, Y, ValueError, r"X has the value nan in row 4; every feature must be finite"),
        (HOLED.astype(np.float16), Y, ValueError, r"X has the value nan in row 4"),
        (np.where(HOLED == X, X, -np.inf).astype("f2"), Y, ValueError, r"value -inf in row 4"),
        (np.where(HOLED == X, X, np.inf).astype("f4"), Y, ValueError, r"value inf in row 4"),
        (np.full((6, 2), 1e300), Y, ValueError, r"X has values too large to square"),
    ],
)
def test_bad_features_and_labels_are_refused(small_blocks, features, labels, error, message):
    with pytest.raises(error, match=message):
        LogisticRegression().fit(features, labels)


def test_a_column_of_labels_is_taken_as_labels_with_a_warning():
    with pytest.warns(UserWarning, match=r"A column-vector y .* its shape \(6, 1\) must be \(n,\)"):
        column = LogisticRegression().fit(X, Y[:, None])
    np.testing.assert_array_equal(column.coef_, LogisticRegression().fit(X, Y).coef_)


def test_numbers_that_are_objects_are_numbers():
    as_objects = LogisticRegression().fit(X.astype(object), Y)
    expected = LogisticRegression().fit(X.astype(np.float64), Y)
    np.testing.assert_array_equal(as_objects.coef_, expected.coef_)


def test_sparse_matrices_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"X is a sparse matrix; it must be dense, such as X\.toa"):
        LogisticRegression().fit(sparse.csr_matrix(X), Y)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"l2": -1}, ValueError, "l2 is -1; it must be a number in"),
        ({"l2": "0.1"}, TypeError, "l2 is '0.1'; it must be a number in"),
        ({"tol": np.nan}, ValueError, "tol is nan; it must be a number in"),
        ({"max_iter": 0}, ValueError, "max_iter is 0; it must be an integer of at least 1"),
        ({"max_iter": 2.5}, TypeError, "max_iter is 2.5; it must be an integer of at least 1"),
    ],
)
def test_bad_parameters_are_refused_by_fit(parameters, error, message):
    with pytest.raises(error, match=message):
        LogisticRegression(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        *((LinearSVM, method) for method in ("predict", "decision_function", "score", "save")),
        *((LogisticRegression, method) for method in ("predict", "predict_proba", "score", "save")),
    ],
)
def test_an_unfitted_classifier_says_so(kind, method, tmp_path):
    arguments = {"score": (X, Y), "save": (tmp_path / "c.npz",)}.get(method, (X,))
    with pytest.raises(NotFittedError, match=f"this {kind.__name__} is not fitted yet"):
        getattr(kind(), method)(*arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (X[:, :5], r"X has 5 features, but LogisticRegression is expecting 12 .* shape is \(6, 5"),
        (X[0], r"X has shape \(12,\); it must be"),
        (X[:0], r"No side may be 0"),
        (HOLED, r"X has the value nan in row 4"),
        (HOLED.astype(np.float16), r"X has the value nan in row 4"),
    ],
)
def test_bad_features_are_refused_by_predict(features, message):
    classifier = LogisticRegression().fit(X, Y)
    for method in (classifier.predict, classifier.predict_proba, classifier.decision_function):
        with pytest.raises(ValueError, match=message):
            method(features)


def test_score_refuses_labels_of_another_length_or_kind():
    classifier = LogisticRegression().fit(X, Y)
    with pytest.raises(ValueError, match="y has 2 labels; it must have 6"):
        classifier.score(X, Y[:2])
    with pytest.raises(
        TypeError, match="y has dtype <U1; it must be like the labels of fit, int64"
    ):
        classifier.score(X, list("abcabc"))


def test_a_fit_that_fails_leaves_the_classifier_as_it_was():
    classifier = LogisticRegression().fit(X, Y)
    before = dict(vars(classifier))
    with pytest.raises(ValueError, match="row 4"):
        classifier.fit(HOLED, Y)
    assert vars(classifier) == before


def test_nothing_is_printed_when_stderr_is_no_terminal(capsys):
    LogisticRegression(verbose=True).fit(X, Y)
    assert capsys.readouterr() == ("", "")
