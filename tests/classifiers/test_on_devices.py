"""Classifiers fitted where a backend computes: the CPU's minimum, by the same bits every time."""

import copy
import weakref

import numpy as np
import pytest

from minisca import CheckpointError, LinearSVM, LogisticRegression
from minisca.backends import get_backend
from minisca.classifiers import placed
from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.resuming import FitFile
from tests.support.backends import BACKENDS, DEVICES
from tests.support.classifier_problems import problem
from tests.support.interrupted_fits import learned

N, WIDTH, CLASSES = 12, 3, 3
#: Iterations that both need few of, and their bounds, of nearly the minimum.
CLOSE = {LogisticRegression: {"l2": 0.1, "tol": 1e-6}, LinearSVM: {"l2": 0.1, "tol": 1e-4}}
kinds = pytest.mark.parametrize("kind", CLOSE)
on_every_backend = pytest.mark.parametrize("name", BACKENDS)
on_every_device = pytest.mark.parametrize("name", DEVICES)


def data(dtype=np.float32):
    features, labels = problem(N, WIDTH, CLASSES)
    return (features / 7).astype(dtype), labels + 4


def made(kind, **options):
    return kind(**{"l2": 0.1, "max_iter": 2, "verbose": False} | options)


def found_on(name, kind, x, y, tol):
    """The objective's minimum by L-BFGS on that backend, the CPU too, and scores of the rows."""
    blocks, codes = FeatureBlocks(x), np.unique(y, return_inverse=True)[1]
    how = 0.1, kind._loss, 1000, tol, False
    with FitFile(None, None, blocks, y) as file:
        found, of = placed.minimise_on(get_backend(name), blocks, codes, CLASSES, *how, file)
    weights, intercept, loss, *_ = found
    return loss, of.scale * x.astype(np.float64) @ weights.T + intercept


@kinds
@on_every_backend
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_the_minimum_is_the_cpus(name, kind, dtype):
    x, y = data(dtype)
    cpu = kind(max_iter=20_000, verbose=False, **CLOSE[kind]).fit(x.astype(np.float64), y)
    loss, scores = found_on(name, kind, x, y, tol=1e-4)
    assert loss == pytest.approx(cpu.loss_, rel=1e-6)
    # Scores that are as good as equal may decide either way.
    best = cpu._scores(x.astype(np.float64))
    clear = np.diff(np.sort(best, axis=1))[:, -1] > 1e-2
    assert clear.sum() >= N - 2
    assert np.array_equal(scores.argmax(axis=1)[clear], best.argmax(axis=1)[clear])
    np.testing.assert_allclose(scores, best, atol=5e-3)


@kinds
@on_every_device
def test_a_fit_is_the_same_bits_again_wherever_the_features_lie(name, kind, monkeypatch):
    x, y = data(np.float16)
    first = made(kind, backend=name).fit(x, y)
    assert first.backend_ == name
    assert (first.n_iter_, first.converged_, first.coef_.dtype) == (2, False, np.float32)
    for again in (x, get_backend(name).to_device(x.reshape(N, 1, WIDTH))):
        assert learned(made(kind, backend=name).fit(again, y)) == learned(first)
    scores, elsewhere = first.decision_function(x), copy.copy(first).set_params(backend="cpu")
    np.testing.assert_allclose(scores, elsewhere.decision_function(x), rtol=1e-5, atol=1e-5)
    assert np.array_equal(first.predict(get_backend(name).to_device(x)), first.predict(x))


@on_every_device
def test_features_that_do_not_fit_cross_again_and_change_no_bit(name, monkeypatch):
    """Blocks of five rows, of which two stay."""
    monkeypatch.setattr(placed, "BLOCK_BYTES", 5 * WIDTH * 4)
    x, y = data()
    backend, brought = get_backend(name), []
    send = backend.send

    def counted(array):
        brought.append(len(array))
        return send(array)

    classifier = made(LinearSVM, backend=name, max_iter=1)
    whole = learned(classifier.fit(x, y))
    monkeypatch.setattr(backend, "send", counted)
    assert learned(classifier.fit(x, y)) == whole
    assert brought == [5, 5, 2]
    searched = placed.search_bytes(CLASSES * (WIDTH + 1))
    monkeypatch.setattr(backend, "free_bytes", lambda: 10 * WIDTH * 4 / placed.SHARE + searched)
    with pytest.warns(UserWarning, match=r"X takes 144 bytes, .* has room for 120: some 10 of 12"):
        assert learned(classifier.fit(x, y)) == whole
    assert brought[3:6] == [5, 5, 2]
    assert set(brought[6:]) == {2}


@on_every_device
def test_where_the_device_has_less_room_than_it_says_no_rows_stay_and_no_bit_changes(
    name, monkeypatch
):
    monkeypatch.setattr(placed, "BLOCK_BYTES", 5 * WIDTH * 4)
    x, y = data()
    backend, calls = get_backend(name), []
    classifier = made(LogisticRegression, backend=name, max_iter=1)
    whole, send = learned(classifier.fit(x, y)), backend.send

    def refusing(array):
        calls.append(len(array))
        if len(calls) == 3:
            raise MemoryError("room for 0 instead of 2")
        return send(array)

    monkeypatch.setattr(backend, "send", refusing)
    with pytest.warns(UserWarning, match="X: room for 0 instead of 2. No rows stay there, all"):
        assert learned(classifier.fit(x, y)) == whole
    assert calls[:4] == [5, 5, 2, 2]
    assert calls[4:7] == [5, 5, 2]


class Foreign:
    """An array of another library's, or of another device."""

    shape, dtype, ndim = (N, WIDTH), np.dtype(np.float32), 2
    __cuda_array_interface__ = {"shape": shape}  # noqa: RUF012


@on_every_backend
def test_arrays_of_another_device_are_refused_by_name(name):
    x, y = data()
    classifier = made(LogisticRegression, backend=name)
    with pytest.raises(TypeError, match=rf"X is a .*Foreign of a device .* backend='{name}'"):
        classifier.fit(Foreign(), y)
    with pytest.raises(TypeError, match=rf"y is a .*Foreign of a device .* backend='{name}'"):
        classifier.fit(x, Foreign())


@on_every_device
def test_labels_may_be_on_the_device_too(name):
    x, y = data()
    there = get_backend(name).to_device
    one, other = (made(LinearSVM, backend=name, max_iter=1) for _ in range(2))
    one.fit(there(x), y)
    other.fit(there(x), there(y))
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert other.score(there(x), there(y)) == one.score(x, y)


@on_every_device
def test_bad_arrays_of_a_device_are_refused_by_name(name):
    x, y = data()
    backend = get_backend(name)
    fitted = made(LinearSVM, backend=name, max_iter=1).fit(x, y)
    there = backend.to_device(x)
    for bad in (np.nan, -np.inf):
        x[7, 2] = bad
        for features in (x, backend.to_device(x)):
            for call in (lambda of: fitted.fit(of, y), fitted.predict):
                with pytest.raises(ValueError, match=rf"X has the value {bad} in row 7; every"):
                    call(features)
    with pytest.raises(TypeError, match="X has dtype uint8; on a device it must be float16"):
        fitted.fit(backend.to_device(np.ones((N, WIDTH), np.uint8)), y)
    with pytest.raises(TypeError, match=r"X is a .* of a device .* backend='cpu'"):
        made(LinearSVM).fit(there, y)
    with pytest.raises(TypeError, match=r"y is a .* of a device .* backend='cpu'"):
        made(LinearSVM).fit(x, backend.to_device(y))
    with pytest.raises(ValueError, match="X has 2 features, but"):
        fitted.predict(backend.to_device(x[:, :2].copy()))


@on_every_device
def test_features_too_far_apart_are_refused_by_name(name):
    x, y = data()
    with pytest.raises(ValueError, match="X has values too far apart for the loss to stay finite"):
        made(LinearSVM, backend=name, max_iter=1).fit(x * np.float32(5e37), y)


@on_every_device
def test_an_interrupted_fit_leaves_the_classifier_and_frees_its_memory(name, monkeypatch):
    x, y = data()
    backend, kept = get_backend(name), []
    classifier = made(LogisticRegression, backend=name, max_iter=1).fit(x, y)
    before = learned(classifier)

    def noting(function):
        def noted(*args):
            made = function(*args)
            kept.extend(map(weakref.ref, made if isinstance(made, tuple) else (made,)))
            return made

        return noted

    def stop(*_):
        raise KeyboardInterrupt

    send = backend.send
    monkeypatch.setattr(backend, "send", lambda array: noting(send(array)))
    for operation in ("to_device", "linear", "linear_backward"):
        monkeypatch.setattr(backend, operation, noting(getattr(backend, operation)))
    monkeypatch.setattr(backend, "cross_entropy", stop)
    with pytest.raises(KeyboardInterrupt) as stopped:
        classifier.fit(x, y)
    assert stopped.tb is not None  # what is kept of it keeps no array
    assert kept
    assert not [array for array in kept if array() is not None]
    assert learned(classifier) == before


@kinds
@on_every_device
def test_an_interrupted_fit_goes_on_to_the_same_bits_on_the_same_backend(
    name, kind, path, monkeypatch
):
    x, y = data()
    whole = learned(made(kind, backend=name).fit(x, y))
    operation, calls = getattr(get_backend(name), kind._loss), []

    def stop_at_third(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return operation(*args)

    with monkeypatch.context() as patch:
        patch.setattr(get_backend(name), kind._loss, stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            made(kind, backend=name).fit(x, y, checkpoint=path)
    with pytest.raises(CheckpointError, match=f"trained with backend='{name}'"):
        made(kind).fit(x, y, checkpoint=path, resume=True)
    resumed = made(kind, backend=name).fit(x, y, checkpoint=path, resume=True)
    assert learned(resumed) == whole
    assert learned(kind.load(path)) == whole


def test_a_fit_of_the_dual_does_not_go_on_where_auto_is_a_device(path, monkeypatch):
    x, y = data()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("minisca.classifiers.kernels.descent.descend_", stop)
    with pytest.raises(KeyboardInterrupt):
        made(LinearSVM, backend="auto").fit(x, y, checkpoint=path)
    monkeypatch.setattr("minisca.classifiers.linear.name_of", lambda backend: "a device")
    with pytest.raises(CheckpointError, match="lacks the setting 'loss'"):
        made(LinearSVM, backend="auto").fit(x, y, checkpoint=path, resume=True)


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend is 'gpu'; it must be one of 'auto', 'cpu'"):
        LinearSVM(backend="gpu").fit(*data())
