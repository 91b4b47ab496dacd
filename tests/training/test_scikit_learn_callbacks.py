"""scikit-learn's callbacks are told of a layer's epochs, of a stack's layers, and in its tools."""

import copy
import pickle
import sys

import numpy as np
import pytest

from minisca import LogisticRegression, Stack
from tests.support.layers import assert_same_state, images, layer, refusal

pytest.importorskip("sklearn.callback", reason="scikit-learn has them from 1.9 on")
from sklearn.base import clone
from sklearn.callback import FitCallback
from sklearn.pipeline import make_pipeline

X = images(n=20)


class Noted:
    """Notes what it is told; ends a fit after an epoch. With `handed_on` it goes to parts."""

    def __init__(self, notes, last=None):
        self.notes, self.last = notes, last

    def setup(self, estimator, context):
        self.notes.append(("setup", type(estimator).__name__))

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.notes.append(("begin", context.task_name, context.task_id, X.shape))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        done = None if fitted_estimator is None else fitted_estimator.n_epochs_done_
        self.notes.append(("end", context.task_name, context.task_id, done))
        return context.task_name == "epoch" and done == self.last

    def teardown(self, estimator, context):
        self.notes.append(("teardown", type(estimator).__name__))


class HandedOn(Noted):
    max_propagation_depth = None


def test_a_layers_callbacks_are_told_of_its_epochs():
    notes = []
    made = layer(n_epochs=2)
    assert made.set_callbacks(Noted(notes)) is made
    assert isinstance(Noted(notes), FitCallback)
    assert_same_state(made.fit(X), layer(n_epochs=2).fit(X))
    assert notes == [
        ("setup", "SparseConvAutoencoder"),
        ("begin", "fit", 0, X.shape),
        *[("begin", "epoch", 0, X.shape), ("end", "epoch", 0, 1)],
        *[("begin", "epoch", 1, X.shape), ("end", "epoch", 1, 2)],
        ("end", "fit", 0, None),
        ("teardown", "SparseConvAutoencoder"),
    ]
    assert not [name for name in vars(made) if name.startswith("_") and name != "_skl_callbacks"]


def test_one_that_returns_true_ends_training():
    assert layer().set_callbacks(Noted([], last=2)).fit(X).n_epochs_done_ == 2


def test_whatever_ends_a_fit_they_are_torn_down():
    notes = []

    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        layer().set_callbacks(Noted(notes)).fit(X, callbacks=[fail])
    assert notes[-1] == ("teardown", "SparseConvAutoencoder")


def test_a_stacks_callbacks_are_told_of_its_layers_and_of_epochs_where_they_want():
    for kind, epochs in ((Noted, 0), (HandedOn, 3)):
        notes = []
        stack = Stack([layer(n_maps=3, n_epochs=1), layer(n_epochs=2)])
        stack.set_callbacks(kind(notes)).fit(X)
        assert notes[0] == ("setup", "Stack")
        assert notes[-1] == ("teardown", "Stack")
        for what in ("begin", "end"):
            names = [note[1] for note in notes if note[0] == what]
            assert names.count("epoch") == epochs
            assert len(names) == epochs + 3  # two layers and the stack
        for made in stack.layers_:
            assert not hasattr(made, "_parent_callback_ctx")


def test_a_resumed_fit_tells_of_the_epochs_that_are_left(tmp_path):
    path, notes = tmp_path / "layer.npz", []
    options = {"checkpoint": path, "resume": True}
    layer().fit(X, callbacks=[lambda _, epoch, __: epoch == 2], **options)
    layer().set_callbacks(Noted(notes)).fit(X, **options)
    assert [note[3] for note in notes if note[:2] == ("end", "epoch")] == [3]
    layer().set_callbacks(Noted(notes)).fit(X, **options)  # of none


def test_clones_copies_and_pickles_keep_them():
    made = layer().set_callbacks(Noted([]))
    assert clone(made)._skl_callbacks == made._skl_callbacks
    assert len(copy.deepcopy(made)._skl_callbacks) == 1
    assert len(pickle.loads(pickle.dumps(made))._skl_callbacks) == 1
    assert "_skl_callbacks" not in vars(made.set_callbacks())


def test_they_go_on_through_a_pipeline():
    notes = []
    pipeline = make_pipeline(layer(n_epochs=2), LogisticRegression(max_iter=2, verbose=False))
    if not hasattr(pipeline, "set_callbacks"):
        pytest.skip("this scikit-learn's Pipeline has no callbacks")
    pipeline.set_callbacks(HandedOn(notes)).fit(X, np.arange(20) % 2)
    assert ("end", "epoch", 1, 2) in notes


@pytest.mark.parametrize("wrong", [Noted, print, object()])
def test_what_is_no_callback_is_refused_by_name(wrong):
    message = refusal(TypeError, layer().set_callbacks, Noted([]), wrong)
    assert message.startswith("callbacks[1] is <")
    assert message.endswith("it must have the methods setup, on_fit_task_begin, " + REST)


REST = "on_fit_task_end, teardown"


def test_an_older_scikit_learn_is_told_of(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    message = refusal(ImportError, layer().set_callbacks, Noted([]))
    assert message == "set_callbacks needs scikit-learn 1.9 or later"
