"""What is no checkpoint of this fit is refused by name, and kept."""

import random

import numpy as np
import pytest

from minisca import CheckpointError, LinearSVM, LogisticRegression
from tests.support import damage
from tests.support.classifier_problems import problem
from tests.support.interrupted_fits import (
    CLASSES,
    KINDS,
    WIDTH,
    N,
    data,
    interrupted,
    kinds,
    learned,
    made,
)
from tests.support.layers import refusal, rewrite

pytestmark = pytest.mark.usefixtures("small_blocks_in_one_thread")


@kinds
def test_resuming_needs_a_path(kind):
    message = refusal(ValueError, made(kind).fit, *data(), resume=True)
    assert message == "checkpoint is None; with resume it must be the path to resume from"


@kinds
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("name", "value"), [("l2", 0.5), ("max_iter", 31), ("tol", 1e-3)])
def test_another_setting_is_named_with_both_values(path, kind, done, name, value):
    interrupted(path, kind, 2)
    if done:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    before = path.read_bytes()
    other = made(kind, **{name: value})
    assert refusal(CheckpointError, other.fit, *data(), checkpoint=path, resume=True) == (
        f"{path} was trained with {name}={getattr(made(kind), name)!r}; to resume from it, "
        f"{name} must be that, not {value!r}"
    )
    assert path.read_bytes() == before
    assert not hasattr(other, "coef_")


def one_other(labels):
    return np.where(np.arange(N) == 77, (labels + 1) % CLASSES, labels)


@kinds
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (2 * x, y), "features: some of 120 rows that were compared differ"),
        (lambda x, y: (x[:, ::-1], y), "features: some of 120 rows that were compared differ"),
        (lambda x, y: (x[:-8], y[:-8]), "features: their shape was (120, 40), not (112, 40)"),
        (lambda x, y: (x[:, :-1], y), "features: their shape was (120, 40), not (120, 39)"),
        (lambda x, y: (x.astype(float), y), "features: their dtype was float32, not float64"),
        (lambda x, y: (x, one_other(y)), "labels: some of 120 labels that were compared differ"),
        (lambda x, y: (x, y.astype(np.uint8)), "labels: their dtype was int64, not uint8"),
    ],
)
def test_other_features_and_labels_are_refused_saying_what_differs(
    path, kind, done, change, message
):
    interrupted(path, kind, 2)
    if done:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    before = path.read_bytes()
    said = refusal(CheckpointError, made(kind).fit, *change(*data()), checkpoint=path, resume=True)
    assert said == f"{path} was fitted to other {message}"
    assert path.read_bytes() == before


@kinds
def test_any_label_of_many_and_any_compared_row_is_noticed(path, kind):
    x, y = problem(1000, 3, 2)
    made(kind, max_iter=1).fit(x, y, checkpoint=path)
    other = np.where(np.arange(1000) == 501, 1 - y, y)
    said = refusal(CheckpointError, made(kind, max_iter=1).fit, x, other, path, True)
    assert said.endswith("labels: some of 1000 labels that were compared differ")


@kinds
def test_an_unfinished_fit_is_no_classifier_and_a_saved_one_no_checkpoint(path, kind):
    interrupted(path, kind, 2)
    message = refusal(CheckpointError, kind.load, path)
    assert message.startswith(f"{path} holds a fit that was interrupted; fit(X, y, checkpoint=")
    made(kind).fit(*data()).save(path)
    message = refusal(CheckpointError, made(kind).fit, *data(), checkpoint=path, resume=True)
    assert message == f"{path} does not say what it was fitted to: it is no checkpoint of fit"
    other = LinearSVM if kind is LogisticRegression else LogisticRegression
    message = refusal(CheckpointError, made(other).fit, *data(), checkpoint=path, resume=True)
    assert message == f"{path} holds a {kind.__name__}; it must hold a {other.__name__}"


@kinds
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("length", [0, 1, 1000, -1])
def test_a_file_that_is_cut_short_is_refused_and_kept(path, kind, done, length):
    interrupted(path, kind, 2)
    if done:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    path.write_bytes(path.read_bytes()[:length])
    before = path.read_bytes()
    message = refusal(CheckpointError, made(kind).fit, *data(), checkpoint=path, resume=True)
    assert message.startswith(str(path))
    assert path.read_bytes() == before


def put(name, value):
    return lambda arrays, settings: arrays.update({f"training/{name}": value})


def number(**changed):
    return lambda arrays, settings: settings["training"].update(changed)


BOTH = [
    (lambda a, s: s.update(data=None), "data is None; it must be by name"),
    (lambda a, s: s.update(data={}), "lacks the setting 'features'"),
    (lambda a, s: s["data"].update(labels=None), "it must say what was fitted to"),
    (lambda a, s: s["data"].update(labels=[1]), r"labels is \[1\]; it must be None, or have shape"),
    (lambda a, s: s["data"]["features"].update(shape=["a"]), "a side of features"),
    (lambda a, s: s["parameters"].update(l2="much"), "l2 is 'much'"),
]
ODD = {
    LogisticRegression: [
        *BOTH,
        (lambda a, s: a.pop("training/losses"), "lacks the array 'training/losses'"),
        (lambda a, s: a.pop("training/gradients/1"), "points, .* and 0 gradients"),
        (put("gradients/1", np.ones((3, 5))), r"shape \(3, 5\); it must be \(any, 123\)"),
        (put("gradients/1", np.ones((3, 123), np.float32)), "dtype float32; it must be float64"),
        (put("points", np.ones((3, 31), np.uint8)), r"must be \(any, 32\)"),
        (put("losses", np.ones(99)), "99 losses and"),
        (put("losses", np.full(2, np.nan)), "all must be finite"),
    ],
    LinearSVM: [
        *BOTH,
        (lambda a, s: s.update(training=None), "training is None; it must be by name"),
        (lambda a, s: s["training"].pop("violation"), "lacks the setting 'violation'"),
        (lambda a, s: a.pop("training/duals"), "lacks the array 'training/duals'"),
        (put("duals", np.ones((N, 2))), r"must be \(120, 3\)"),
        (put("duals", np.full((N, 3), -1.0)), "it must be at least 0"),
        (put("weights", np.ones((3, WIDTH))), "dtype float64; it must be float32"),
        (put("balance", np.ones(4)), r"must be \(3\)"),
        (put("intercepts", np.ones(3, complex)), "dtype complex128"),
        (number(n_passes=-1), "n_passes is -1"),
        (number(violation="small"), "violation is 'small'"),
        (number(random_state={}), "random state has the generator None"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [(kind, *case) for kind, cases in ODD.items() for case in cases],
)
def test_what_does_not_fit_is_refused_by_name(path, kind, change, message):
    interrupted(path, kind, 3)
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    assert str(caught.value).startswith(str(path))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what overflows warns, as in any fit
def test_numbers_that_lead_beyond_all_floats_are_the_files_fault(path):
    interrupted(path, LinearSVM, 3)
    rewrite(path, put("weights", np.full((CLASSES, WIDTH), 3e38, np.float32)))
    message = refusal(CheckpointError, made(LinearSVM).fit, *data(), checkpoint=path, resume=True)
    assert message.startswith(f"{path} leads to weights that are not finite")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_damaged_anyhow_is_refused_by_name_or_gone_on_with(path, kind):
    """Blind damage never changes what is learned; what right checksums seal may."""
    interrupted(path, kind, 3)
    whole, expected = path.read_bytes(), learned(made(kind).fit(*data()))
    said = []
    for number, (name, damaged) in enumerate(sorted((damage.BLIND | damage.SEEING).items()) * 6):
        path.write_bytes(damaged(whole, random.Random(number)))
        try:
            fitted = made(kind).fit(*data(), checkpoint=path, resume=True)
        except CheckpointError as error:
            said.append(str(error))
        else:
            assert name not in damage.BLIND or learned(fitted) == expected
    assert len(said) > 6
    assert all(str(path) in message for message in said)
