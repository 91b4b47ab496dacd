"""Training that went wrong is no success; images of any size, and black ones, are learned."""

import re
import warnings

import numpy as np
import pytest

from minisca import CheckpointError, DivergenceError, SparseConvAutoencoder, Stack
from minisca.training.images import FINGERPRINTED, fingerprint
from tests.support.layers import (
    PARAMETERS,
    RULES,
    Slices,
    images,
    layer,
    over_rules,
    refusal,
    rewrite,
)

# Other images ---------------------------------------------------------------------------------

OTHERS = {
    "scale": (lambda x: x * np.float32(2), "some of 40 images that were compared differ"),
    "order": (lambda x: x[::-1].copy(), "some of 40 images that were compared differ"),
    "fewer": (lambda x: x[:30], r"their shape was \(40, 1, 8, 7\), not \(30, 1, 8, 7\)"),
    "dtype": (lambda x: x.astype(np.float64), "their dtype was float32, not float64"),
}


@pytest.mark.parametrize("kind", [layer, lambda **s: Stack([layer(**s), layer(**s)])])
@pytest.mark.parametrize("change", OTHERS)
def test_a_fit_is_not_resumed_on_other_images(kind, change, tmp_path):
    changed, message = OTHERS[change]
    kind(n_epochs=1).fit(images(), checkpoint=tmp_path / "made")
    found = refusal(
        CheckpointError,
        kind(n_epochs=1).fit,
        changed(images()),
        checkpoint=tmp_path / "made",
        resume=True,
    )
    assert str(tmp_path / "made") in found
    assert re.search(f"was trained on other images: {message}", found)


def test_images_are_the_same_however_they_lie_in_memory():
    x = images()
    for same in (Slices(x), np.asfortranarray(x), x.astype(">f4"), x[::-1][::-1]):
        assert fingerprint(same) == fingerprint(x)
    some = x.repeat(20, axis=0)
    counted = Slices(some)
    fingerprint(counted)
    assert sum(map(len, counted.reads)) == FINGERPRINTED


def test_a_file_that_does_not_say_which_images_are_its_own_resumes_with_a_warning(tmp_path):
    path = tmp_path / "layer.npz"
    made = layer(n_epochs=1).fit(images(), checkpoint=path)
    rewrite(path, lambda arrays, settings: settings.pop("images"))
    with pytest.warns(UserWarning, match="does not say what images it was trained on"):
        again = layer(n_epochs=1).fit(images(), checkpoint=path, resume=True)
    np.testing.assert_array_equal(again.encoder_filters_, made.encoder_filters_)


# Divergence, dead maps ------------------------------------------------------------------------


def test_a_loss_far_above_the_images_own_squares_is_divergence():
    x = images()
    made = layer(n_epochs=1, learning_rate=0.05).fit(x)
    before = {name: getattr(made, name).copy() for name in PARAMETERS}
    made.decoder_bias_ = [100]
    made.set_params(learning_rate=1e-6)
    message = refusal(DivergenceError, made.partial_fit, x)
    assert re.search(r"the mean loss, \S+, is more than 10 times the images' own squares", message)
    assert (made.decoder_bias_, made.n_epochs_done_) == (100, 1)
    np.testing.assert_array_equal(made.decoder_filters_, before["decoder_filters_"])


def test_dim_images_after_bright_ones_are_no_divergence():
    made = layer(n_epochs=3, learning_rate=0.05).fit(5 + images())
    for dim in (1e-3 * images(), np.zeros_like(images())):
        assert np.isfinite(made.partial_fit(dim).loss_history_[-1])


def test_most_maps_dead_is_a_warning_and_fewer_are_not():
    dead = layer(n_epochs=1, learning_rate=1e-9)
    original = SparseConvAutoencoder.usage(layer(n_epochs=1).fit(images()), images())
    assert (original > 0).all()
    with pytest.warns(UserWarning, match=r"3 of 4 maps are dead: of 40 images, none") as said:
        fit_with_biases(dead, [-9, -9, -9, 0])
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_with_biases(dead, [-9, -9, 0, 0])


def fit_with_biases(made, biases):
    """Fit from a start at which the maps of large negative biases are dead."""
    from minisca.training import fit

    start = fit.initial_state

    def with_biases(*arguments):
        state = start(*arguments)
        state.parameters["encoder_bias"][:] = biases
        return state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minisca.training.epochs.initial_state", with_biases)
        made.fit(images())


# Units, black images --------------------------------------------------------------------------


@over_rules
@pytest.mark.parametrize("power", [-90, -50, 60])
def test_images_of_any_size_are_learned_alike(rule, power):
    x = images().astype(np.float64) if power == 60 else images()
    settings = RULES[rule] | {"dtype": x.dtype.name}
    one, other = (layer(**settings).fit(x * x.dtype.type(2) ** p) for p in (0, power))
    for name in PARAMETERS:  # a power of two: every rounding is the same
        factor = 2.0**power if "bias" in name else 1
        np.testing.assert_array_equal(getattr(other, name), factor * getattr(one, name))
    losses = np.array(other.loss_history_) / 4.0**power
    np.testing.assert_array_equal(losses, one.loss_history_)


def test_a_stream_that_begins_black_learns_as_one_that_does_not():
    x = images()
    black = layer().partial_fit(np.zeros_like(x))
    assert black.patch_energy_ == 0
    seen = layer().partial_fit(x)
    assert black.partial_fit(x).patch_energy_ == seen.patch_energy_
    for _ in range(5):
        black.partial_fit(x)
        seen.partial_fit(x)
    assert black.loss_history_[-1] < 1.1 * seen.loss_history_[-1]


def test_squares_that_float64_cannot_hold_are_refused():
    x = images().astype(np.float64)
    for factor, what in ((1e160, "large for float64; scale it down"), (1e-170, "scale it up")):
        assert what in refusal(ValueError, layer(dtype="float64").fit, x * factor)
