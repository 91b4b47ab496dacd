"""Training ends when the validation images' loss falls no more, with the best parameters."""

import numpy as np
import pytest

from minisca import CheckpointError, EarlyStopping, SparseConvAutoencoder, Stack
from minisca.training import epochs
from tests.support.layers import PARAMETERS, assert_same_state, images, layer, refusal

X, OTHER = images(n=20), images(n=9, seed=1)
LOSSES = [5.0, 3.0, 4.0, 2.5, 2.6, 2.7, 2.8, 1.0]


@pytest.fixture
def judged(monkeypatch):
    """Every epoch has the loss that LOSSES says."""
    monkeypatch.setattr(
        epochs.encoding, "score", lambda _, state, *__: -LOSSES[state.n_epochs_done - 1]
    )


def fit(patience=3, made=None, **options):
    made = layer(n_epochs=8) if made is None else made
    callbacks = [*options.pop("callbacks", ()), EarlyStopping(patience)]
    return made.fit(X, callbacks=callbacks, validation_images=OTHER, **options)


def of_epoch(epoch):
    """What a layer has after an epoch of the very same training."""
    states = []
    layer(n_epochs=8).fit(X, callbacks=[lambda one, *_: states.append(one.state_)])
    return states[epoch - 1]


def assert_is_epoch(made, epoch):
    right = of_epoch(epoch)
    for name in PARAMETERS:
        np.testing.assert_array_equal(getattr(made, name), right.get(name.removesuffix("_")))
    for name, velocity in right.velocities.items():
        np.testing.assert_array_equal(made.state_.velocities[name], velocity)


@pytest.mark.parametrize(("patience", "done", "best"), [(1, 3, 2), (3, 7, 4), (4, 8, 8), (9, 8, 8)])
def test_it_ends_after_so_many_epochs_without_a_smaller_loss(judged, patience, done, best):
    made = fit(patience)
    assert (made.n_epochs_done_, made.best_epoch_) == (done, best)
    assert made.validation_loss_history_ == LOSSES[:done]
    assert len(made.loss_history_) == done
    assert_is_epoch(made, best)


def test_a_loss_counts_as_smaller_if_it_is_so_by_more_than_min_delta():
    ends = EarlyStopping(2, min_delta=1).ends
    assert ends([5, 4, 4.1])
    assert not ends([5, 3.9, 3.5])
    assert not ends([])


def test_the_best_epoch_is_restored_where_no_patience_ends_too(judged):
    made = fit(8, layer(n_epochs=6))
    assert (made.n_epochs_done_, made.best_epoch_) == (6, 4)


def test_what_is_trained_on_goes_on_from_the_best_epoch(judged, tmp_path):
    made = fit()
    made.save(tmp_path / "layer.npz")
    loaded = SparseConvAutoencoder.load(tmp_path / "layer.npz")
    assert loaded.best_epoch_ == 4
    assert_same_state(loaded.partial_fit(X), made.partial_fit(X))
    assert made.best_epoch_ == made.n_epochs_done_ == 8


@pytest.mark.parametrize("epoch", [1, 4, 6, 7])
def test_an_interrupted_fit_ends_at_the_same_epoch_with_the_same_bits(judged, tmp_path, epoch):
    def fail(_, now, __):
        if now == epoch:
            raise KeyboardInterrupt

    path = tmp_path / "layer.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks=[fail], checkpoint=path)
    resumed = fit(checkpoint=path, resume=True)
    assert_is_epoch(resumed, 4)
    assert_same_state(resumed, fit())
    size = path.stat().st_size
    fit(checkpoint=tmp_path / "whole.npz")
    assert size == (tmp_path / "whole.npz").stat().st_size  # the best is not there twice
    assert_same_state(fit(checkpoint=path, resume=True), resumed)  # there is nothing left to do


def test_more_patience_goes_on_from_the_best(judged, tmp_path):
    path = tmp_path / "layer.npz"
    fit(1, checkpoint=path)
    made = fit(2, checkpoint=path, resume=True)
    assert made.n_epochs_done_ == 6
    assert made.best_epoch_ == 4


def test_an_epoch_that_was_not_kept_cannot_be_restored(judged, tmp_path):
    path = tmp_path / "layer.npz"
    options = {"checkpoint": path, "validation_images": OTHER}
    layer(n_epochs=8).fit(X, callbacks=[lambda _, epoch, __: epoch == 3], **options)
    message = refusal(CheckpointError, fit, checkpoint=path, resume=True)
    assert "was trained without EarlyStopping; callbacks must have none to resume" in message


def test_every_layer_of_a_stack_ends_by_itself(judged):
    made = fit(made=Stack([layer(n_epochs=8, n_maps=3), layer(n_epochs=8)]))
    assert [(one.n_epochs_done_, one.best_epoch_) for one in made.layers_] == [(7, 4)] * 2


@pytest.mark.parametrize("make", [layer, lambda: Stack([layer()])])
def test_it_needs_validation_images(make):
    message = refusal(ValueError, make().fit, X, callbacks=[EarlyStopping()])
    assert message.startswith("validation_images is None; EarlyStopping needs images")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patience": 0}, ValueError, "patience is 0; it must be an integer of at least 1"),
        ({"patience": 2.5}, TypeError, "patience is 2.5"),
        ({"min_delta": -1}, ValueError, "min_delta is -1; it must be a number in"),
    ],
)
def test_bad_settings_are_refused_by_name(options, error, message):
    assert message in refusal(error, EarlyStopping, **options)
