"""L-BFGS on vectors where a backend computes: its minimum, and where it goes on after Ctrl-C."""

import numpy as np
import pytest
from scipy.optimize import minimize

from minisca import CheckpointError
from minisca.backends import get_backend
from minisca.classifiers import placed_lbfgs, placed_vectors
from minisca.classifiers.placed_lbfgs import Standing, search
from minisca.classifiers.placed_vectors import Vectors
from tests.support.backends import BACKENDS

SIZE, WIDE = 11, np.logspace(0, 2, 11)
on_every_backend = pytest.mark.parametrize("name", BACKENDS)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Pairs are soon written over, and products are taken in parts, with zeros behind the last."""
    monkeypatch.setattr(placed_lbfgs, "PAIRS", 2)
    monkeypatch.setattr(placed_vectors, "PARTS", 2)
    monkeypatch.setattr(placed_vectors, "PART", 4)


def loss_of(point):
    """A sum of log cosh, whose minimum is at 1, and of squares of quite other widths."""
    d = point - 1
    loss = np.log(np.cosh(d)).sum() + WIDE @ d**2 / 200
    return float(loss), np.tanh(d) + WIDE * d / 100


class Counted:
    """`loss_of` where a backend computes; the evaluation numbered `fail_at` raises Ctrl-C."""

    def __init__(self, vectors, fail_at=None):
        self.vectors, self.fail_at, self.n = vectors, fail_at, 0

    def __call__(self, vector):
        self.n += 1
        if self.n == self.fail_at:
            raise KeyboardInterrupt
        backend = self.vectors.backend
        loss, gradient = loss_of(backend.to_host(vector)[:SIZE])
        whole = np.zeros(self.vectors.length)
        whole[:SIZE] = gradient
        return loss, backend.to_device(whole)


def begun(name="cpu", fail_at=None):
    there = Vectors(get_backend(name), SIZE)
    return Counted(there, fail_at), Standing.start(there, Counted(there))


def reach(objective, at, max_iter=50, tol=1e-6, least=0.0, reached=lambda at: None):
    return search(objective, at, max_iter, tol, least, reached)


@on_every_backend
def test_products_and_sums_of_vectors_are_numpys(name):
    vectors = Vectors(get_backend(name), SIZE)
    assert vectors.length == 12
    rows = np.random.default_rng(0).standard_normal((3, 12))
    there, other = vectors.backend.to_device(rows), vectors.backend.to_device(rows[1])
    np.testing.assert_allclose(vectors.dots(there, other), rows @ rows[1], rtol=1e-14)
    assert vectors.dot(other, other) == pytest.approx(rows[1] @ rows[1], rel=1e-14)
    factors = np.array([1.0, -2, 0.5])
    for found, right in (
        (vectors.plus(other, 3, other), 4 * rows[1]),
        (vectors.combined(there, factors), factors @ rows),
    ):
        np.testing.assert_allclose(vectors.backend.to_host(found), right, rtol=1e-14)


@on_every_backend
def test_it_goes_where_scipys_goes_in_as_many_evaluations(name):
    objective, at = begun(name)
    at, converged = reach(objective, at, max_iter=50 if name == "cpu" else 3)
    assert converged == (name == "cpu")
    options = {"maxcor": 2, "gtol": 1e-6, "ftol": 0, "maxiter": at.n_iter}
    right = minimize(loss_of, np.zeros(SIZE), jac=True, method="L-BFGS-B", options=options)
    if name == "cpu":
        np.testing.assert_allclose(at.point[:SIZE], 1, atol=1e-5)
        assert objective.n <= right.nfev + 3
    assert at.loss <= right.fun + 1e-3


def test_it_ends_as_it_is_told():
    for how, right in (
        ({"max_iter": 4}, (4, False)),
        ({"tol": 1e9}, (0, True)),
        ({"least": 1.0}, (1, True)),
    ):
        at, converged = reach(*begun(), **how)
        assert (at.n_iter, converged) == right
    assert reach(*begun(), tol=0)[0].loss < 1e-15  # nothing is left but rounding


def test_where_it_was_interrupted_it_goes_on_to_the_same_bits(path):
    """Within an evaluation, and when the pairs of the next iteration were written already."""
    objective, at = begun()
    whole, _ = reach(objective, at, max_iter=9)
    bits = whole.point.tobytes(), whole.loss, whole.n_iter
    kept = []
    for fail_at in range(2, objective.n + 1):
        kept[:] = begun()[1:]
        with pytest.raises(KeyboardInterrupt):
            reach(Counted(at.vectors, fail_at), kept[0], 9, reached=lambda at: kept.insert(0, at))
        kept[0].next(objective)  # and lost before it was reached
        arrays, numbers = kept[0].to_file()()
        arrays = {name: array.copy() for name, array in arrays.items()}
        again = Standing.from_file(path, (arrays, numbers), at.vectors)
        again, _ = reach(Counted(at.vectors), again, max_iter=9)
        assert (again.point.tobytes(), again.loss, again.n_iter) == bits


def test_a_file_that_does_not_fit_is_refused_by_name(path):
    objective, at = begun()
    at, _ = reach(objective, at, max_iter=3)
    arrays, numbers = at.to_file()()
    vectors = at.vectors
    flat = arrays | {"training/products": np.zeros_like(at.products)}
    with pytest.raises(CheckpointError, match=r"classifier.npz: array 'training/products' has no"):
        Standing.from_file(path, (flat, numbers), vectors)
    longer = Vectors(vectors.backend, 99)
    with pytest.raises(CheckpointError, match=r"training/point"):
        Standing.from_file(path, (arrays, numbers), longer)
    with pytest.raises(CheckpointError, match="loss"):
        Standing.from_file(path, (arrays, numbers | {"loss": "low"}), vectors)
    with pytest.raises(CheckpointError, match="training is 7"):
        Standing.from_file(path, (arrays, 7), vectors)
