"""What is called after every epoch, what judges it, and that a resumed fit leaves nothing out."""

import json

import numpy as np
import pytest

from minisca import CheckpointError, DivergenceError, JSONLLog, SparseConvAutoencoder, Stack
from minisca.training import epochs
from tests.support.layers import Slices, assert_same_state, images, layer, refusal

X, OTHER = images(n=20), images(n=9, seed=1)


def told(calls):
    return lambda *call: calls.append(call)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# Callables ----------------------------------------------------------------------------------------


def test_a_callback_is_given_the_layer_the_epoch_and_its_loss():
    calls, filters = [], []
    made = layer()
    made.fit(X, callbacks=[told(calls), lambda one, *_: filters.append(one.encoder_filters_)])
    assert calls == [(made, epoch, made.loss_history_[epoch - 1]) for epoch in (1, 2, 3)]
    np.testing.assert_array_equal(filters[-1], made.encoder_filters_)
    assert not np.array_equal(filters[0], filters[1])


def test_callbacks_and_validation_images_change_nothing_that_is_learned():
    watched = layer().fit(X, callbacks=[told([])], validation_images=OTHER)
    assert_same_state(watched, layer().fit(X))


@pytest.mark.parametrize("answer", [True, np.True_])
def test_training_ends_where_a_callback_returns_true(answer):
    calls = []
    made = layer().fit(X, callbacks=[lambda _, epoch, __: epoch == 2 and answer, told(calls)])
    assert made.n_epochs_done_ == len(calls) == 2


@pytest.mark.parametrize("answer", [None, 1, "yes", False])
def test_it_goes_on_whatever_else_one_returns(answer):
    assert layer().fit(X, callbacks=[lambda *_: answer]).n_epochs_done_ == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_ends_training_with_the_state_of_the_last_whole_epoch(tmp_path, error):
    path = tmp_path / "layer.npz"

    def fail(_, epoch, __):
        if epoch == 2:
            raise error("no room")

    made = layer()
    with pytest.raises(error, match="no room"):
        made.fit(X, checkpoint=path, callbacks=[fail])
    assert made.n_epochs_done_ == 2
    assert_same_state(SparseConvAutoencoder.load(path), made)
    assert_same_state(layer().fit(X, checkpoint=path, resume=True), layer().fit(X))


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (print, "callbacks is <built-in function print>; it must be a list of callables"),
        ([5], "callbacks[0] is 5; it must be callable as callback(layer, epoch, loss)"),
        ([told([]), lambda layer: None], "callbacks[1] is <function"),
        ([lambda *_, needed: None], "callbacks[0] is <function"),
        ([JSONLLog], "callbacks[0] is <class"),
    ],
)
@pytest.mark.parametrize("make", [layer, lambda: Stack([layer()])])
def test_what_cannot_be_called_so_is_refused_before_anything_is_trained(make, callbacks, message):
    assert message in refusal(TypeError, make().fit, X, callbacks=callbacks)


# Validation images --------------------------------------------------------------------------------


def test_validation_images_are_judged_after_every_epoch():
    scores = []
    made = layer(centre=True)
    made.fit(X, callbacks=[lambda one, *_: scores.append(-one.score(OTHER))])
    judged = layer(centre=True).fit(X, validation_images=Slices(OTHER))
    assert judged.validation_loss_history_ == scores
    assert made.validation_loss_history_ == []


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        (OTHER[:, :, 1:], ValueError, "validation_images has images of 7x7 pixels; they must be"),
        (np.concatenate([OTHER] * 2, 1), ValueError, "validation_images has 2 channels"),
        (OTHER[0], ValueError, "validation_images has shape (1, 8, 7); it must be"),
        (OTHER.astype(complex), TypeError, "validation_images has dtype complex128"),
        (OTHER * np.nan, ValueError, "validation_images has the value nan in image 0; every pixel"),
        (
            np.where(OTHER, 1e300, 0),
            ValueError,
            "validation_images has the value 1e+300 in image 0",
        ),
    ],
)
@pytest.mark.parametrize("make", [layer, lambda: Stack([layer()])])
def test_other_images_are_refused_by_name_before_anything_is_lost(make, validation, error, message):
    made = make().fit(X)
    before = made.transform(X)
    assert message in refusal(error, made.fit, X, validation_images=validation)
    np.testing.assert_array_equal(made.transform(X), before)


def test_a_file_of_a_watched_fit_has_what_was_judged(tmp_path):
    made = layer().fit(X, validation_images=OTHER)
    made.save(tmp_path / "layer.npz")
    loaded = SparseConvAutoencoder.load(tmp_path / "layer.npz")
    assert loaded.validation_loss_history_ == made.validation_loss_history_
    assert loaded.best_epoch_ == 3
    loaded.partial_fit(X)
    assert len(loaded.validation_loss_history_) == 3


def interrupted(path, epoch, **options):
    def fail(_, now, __):
        if now == epoch:
            raise KeyboardInterrupt

    options["callbacks"] = [*options.get("callbacks", ()), fail]
    with pytest.raises(KeyboardInterrupt):
        layer().fit(X, checkpoint=path, **options)


def test_a_resumed_fit_goes_on_in_the_history(tmp_path):
    path = tmp_path / "layer.npz"
    interrupted(path, 2, validation_images=OTHER)
    resumed = layer().fit(X, checkpoint=path, resume=True, validation_images=OTHER)
    whole = layer().fit(X, validation_images=OTHER)
    assert_same_state(resumed, whole)
    assert resumed.validation_loss_history_ == whole.validation_loss_history_


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (OTHER, None, "was trained with validation_images, which must be given to resume from it"),
        (None, OTHER, "was trained without validation_images, which must be None to resume"),
        (OTHER, OTHER[:5], "was trained with other validation_images: "),
    ],
)
def test_to_resume_with_other_validation_images_is_refused(tmp_path, before, now, message):
    path = tmp_path / "layer.npz"
    interrupted(path, 2, validation_images=before)
    again = {"checkpoint": path, "resume": True, "validation_images": now}
    assert message in refusal(CheckpointError, layer().fit, X, **again)


def test_a_loss_that_is_not_finite_leaves_the_epoch_before(monkeypatch):
    scores = iter([-3.0, -np.inf])
    monkeypatch.setattr(epochs.encoding, "score", lambda *_: next(scores))
    made = layer()
    message = refusal(DivergenceError, made.fit, X, validation_images=OTHER)
    assert "the loss of validation_images became inf" in message
    assert (made.n_epochs_done_, made.validation_loss_history_) == (1, [3.0])


# The log ------------------------------------------------------------------------------------------


def test_a_line_is_written_an_epoch(tmp_path):
    path = tmp_path / "folder" / "log.jsonl"
    made = layer(warmup_steps=0).fit(X, callbacks=[JSONLLog(path)], validation_images=OTHER)
    lines = read(path)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["loss"] for line in lines] == made.loss_history_
    assert [line["validation_loss"] for line in lines] == made.validation_loss_history_
    # 4 steps an epoch; a rate falls on a line to 0 after 12
    rates = [made.learning_rate * (1 - step / 12) for step in (3, 7, 11)]
    np.testing.assert_allclose([line["learning_rate"] for line in lines], rates)
    assert lines[-1]["dead_maps"] == (made.usage(X) == 0).sum()
    for line in lines:
        assert "layer" not in line
        assert line["images_per_second"] == pytest.approx(20 / line["seconds"])
    assert list(path.parent.iterdir()) == [path]  # written whole, by another name


def test_a_log_without_validation_images_says_so(tmp_path):
    layer(n_epochs=1).fit(X, callbacks=[JSONLLog(tmp_path / "log")])
    assert read(tmp_path / "log")[0]["validation_loss"] is None


def test_a_resumed_fit_goes_on_in_its_log_and_a_fresh_one_begins_anew(tmp_path):
    path, log = tmp_path / "layer.npz", tmp_path / "log.jsonl"
    interrupted(path, 2, callbacks=[JSONLLog(log)])
    begun = read(log)
    assert len(begun) == 2
    again = {"checkpoint": path, "callbacks": [JSONLLog(log)]}
    layer().fit(X, resume=True, **again)
    lines = read(log)
    assert lines[:2] == begun
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    layer(n_epochs=1).fit(X, **again)
    assert [line["epoch"] for line in read(log)] == [1]


def test_a_stack_logs_its_layers_one_after_the_other(tmp_path):
    log, folder = tmp_path / "log.jsonl", tmp_path / "layers"

    def make():
        return Stack([layer(n_maps=3, n_epochs=1), layer(n_epochs=2)])

    options = {"checkpoint": folder, "validation_images": OTHER, "callbacks": [JSONLLog(log)]}
    made = make().fit(X, **options)
    places = [(line["layer"], line["epoch"]) for line in read(log)]
    assert places == [(1, 1), (2, 1), (2, 2)]
    below, above = made.layers_
    assert above.validation_loss_history_[-1] == -above.score(below.transform(OTHER))
    first = read(log)[0]
    (folder / "layer2.npz").unlink()
    make().fit(X, resume=True, **options)  # the first layer is done
    assert [(line["layer"], line["epoch"]) for line in read(log)] == places
    assert read(log)[0] == first


@pytest.mark.parametrize("make", [layer, lambda: Stack([layer()])])
def test_a_checkpoint_that_cannot_be_written_leaves_what_was_learned(tmp_path, make):
    made = make().fit(X)
    before = made.transform(X)
    message = refusal(TypeError, made.fit, X, checkpoint=5)
    assert message == "checkpoint is 5; it must be a path, or None"
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        made.fit(X, checkpoint=tmp_path / "file" / "layer.npz")
    np.testing.assert_array_equal(made.transform(X), before)


@pytest.mark.parametrize("path", [5, b"log", None])
def test_what_is_no_path_of_a_log_is_refused_by_name(path):
    message = refusal(TypeError, JSONLLog, path)
    assert message == f"path is {path!r}; it must be the path of a file"


@pytest.mark.parametrize("text", ["no json", '{"loss": 3}\n', "[1]\n", '{"epoch": "x"}\n'])
def test_a_file_that_is_no_log_is_kept_and_refused_before_anything_is_trained(tmp_path, text):
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    made, before = layer().fit(X), layer().fit(X)
    message = refusal(ValueError, made.fit, X, callbacks=[JSONLLog(path)])
    assert f"{path} is something else" in message
    assert path.read_text() == text
    assert_same_state(made, before)
