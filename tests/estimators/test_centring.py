"""A centred layer is the layer of the images less their channels' means, in every method."""

import numpy as np
import pytest

from minisca import SparseConvAutoencoder, Stack
from minisca.files.checkpoint import CheckpointError
from tests.support.layers import (
    RULES,
    Slices,
    assert_same_state,
    images,
    layer,
    over_rules,
    rewrite,
)

MEANS = np.array([3.0, -2.0], np.float32)


def shifted(n=40, seed=0, dtype=np.float32):
    """Images of two channels whose means are far from 0."""
    return (images(n, channels=2, seed=seed) + MEANS[:, None, None]).astype(dtype)


def less(x, centre):
    return x - centre[:, None, None]


@pytest.fixture(scope="module")
def fitted():
    return layer(centre=True).fit(shifted())


@over_rules
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_method_does_what_a_plain_layer_does_with_centred_images(rule, dtype):
    x, options = shifted(), RULES[rule] | {"dtype": dtype}
    made = layer(centre=True, **options).fit(x)
    np.testing.assert_allclose(made.centre_, x.mean(axis=(0, 2, 3), dtype=float), rtol=1e-6)
    assert made.centre_.dtype == made.encoder_filters_.dtype
    by_hand = less(x.astype(dtype), made.centre_)
    plain = layer(**options).fit(by_hand)
    assert plain.centre_ is None
    assert_same_state(made, plain)
    assert made.patch_energy_ == plain.patch_energy_
    for name in ("transform", "feature_maps", "winners", "usage", "score"):
        np.testing.assert_array_equal(getattr(made, name)(x), getattr(plain, name)(by_hand))
    found, expected = made.loss_and_gradients(x), plain.loss_and_gradients(by_hand)
    assert found[0] == expected[0]
    for name, gradient in expected[1].items():
        np.testing.assert_array_equal(found[1][name], gradient)
    made.partial_fit(x[:9])
    assert_same_state(made, plain.partial_fit(by_hand[:9]))


def test_what_is_rebuilt_is_in_the_images_own_place(fitted):
    x = shifted()
    rebuilt = fitted.reconstruct(x)
    distance = np.square(rebuilt - x, dtype=float).sum() / len(x)
    assert distance == pytest.approx(-fitted.score(x), rel=1e-5)
    assert np.abs(rebuilt.mean(axis=(0, 2, 3)) - MEANS).max() < 0.5


def test_the_padding_is_the_mean(fitted):
    """An image that is the mean everywhere, its border included, has the maps of the biases."""
    mean = np.broadcast_to(fitted.centre_[:, None, None], (1, 2, 8, 7)).copy()
    biases = np.maximum(fitted.encoder_bias_, 0)[None, :, None, None]
    np.testing.assert_allclose(fitted.feature_maps(mean) + 0 * biases, biases + 0 * mean[:, :1])


def test_the_mean_is_of_all_images_and_read_in_parts(monkeypatch):
    monkeypatch.setattr("minisca.chunks.CHUNK_BYTES", 2 * 8 * 7 * 4 * 7)  # 7 images
    x = Slices(shifted().astype(np.float16))
    made = layer(centre=True, n_epochs=0).fit(x)
    assert [len(rows) for rows in x.reads if len(rows) <= 7][:6] == [7, 7, 7, 7, 7, 5]
    expected = x.array.mean(axis=(0, 2, 3), dtype=float)
    np.testing.assert_allclose(made.centre_, expected, rtol=1e-6)


def test_a_centred_layer_is_saved_resumed_and_loaded(fitted, tmp_path):
    path = tmp_path / "layer.npz"
    layer(centre=True, n_epochs=3).fit(shifted(), checkpoint=path)
    loaded = SparseConvAutoencoder.load(path)
    assert loaded.centre is True
    np.testing.assert_array_equal(loaded.centre_, fitted.centre_, strict=True)
    np.testing.assert_array_equal(loaded.transform(shifted()), fitted.transform(shifted()))
    resumed = layer(centre=True, n_epochs=3).fit(shifted(), checkpoint=path, resume=True)
    assert_same_state(resumed, fitted)


def test_a_file_from_before_there_was_centring_is_of_a_plain_layer(tmp_path):
    made = layer().fit(shifted())
    made.save(tmp_path / "layer.npz")
    rewrite(tmp_path / "layer.npz", lambda _, settings: settings["parameters"].pop("centre"))
    loaded = SparseConvAutoencoder.load(tmp_path / "layer.npz")
    assert loaded.centre is False
    assert loaded.centre_ is None
    assert_same_state(loaded, made)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, _: arrays.pop("centre"),
        lambda arrays, _: arrays.update(centre=np.zeros(3, np.float32)),
        lambda arrays, _: arrays.update(centre=np.full(2, np.nan, np.float32)),
        lambda arrays, _: arrays.update(centre=np.zeros(2)),
        lambda _, settings: settings["parameters"].update(centre=1),
    ],
    ids=["missing", "of three maps", "nan", "float64", "no flag"],
)
def test_a_file_whose_centre_does_not_fit_is_refused_by_name(fitted, tmp_path, change):
    fitted.save(tmp_path / "layer.npz")
    rewrite(tmp_path / "layer.npz", change)
    with pytest.raises(CheckpointError, match="centre"):
        SparseConvAutoencoder.load(tmp_path / "layer.npz")


def test_a_centre_may_be_replaced_and_must_fit():
    made = layer(centre=True).fit(shifted())
    made.centre_ = [0, 0]
    assert made.centre_.dtype == np.float32
    made.centre_ = np.zeros(3)
    with pytest.raises(ValueError, match=r"centre_ has shape \(3,\); it must be \(2,\)"):
        made.transform(shifted())
    made.centre_ = None
    with pytest.raises(ValueError, match="centre is True; it must be False, as the filters were"):
        made.partial_fit(shifted())


# Stacks -------------------------------------------------------------------------------------------


def two(**above):
    return [layer(), layer(n_maps=3, random_state=1, **above)]


def test_a_stack_centres_all_layers_above_the_first_where_it_is_told_so():
    x = shifted()
    for made in (Stack(two(), centre="above-first"), Stack(two(centre=True))):
        features = made.fit_transform(x)
        below, above = made.layers_
        assert (below.centre, above.centre) == (False, True)
        np.testing.assert_array_equal(above.transform(below.transform(x)), features)
        by_hand = layer(n_maps=3, random_state=1).fit(less(below.transform(x), above.centre_))
        assert_same_state(above, by_hand)
    assert [one.centre for one in made.layers] == [False, True]
    assert [one.centre for one in Stack(two()).fit(x).layers_] == [False, False]


def test_a_stacks_file_says_which_layers_are_centred(tmp_path):
    path = tmp_path / "stack.npz"
    made = Stack(two(), centre="above-first").fit(shifted())
    made.save(path)
    loaded = Stack.load(path)
    assert loaded.centre == "above-first"
    np.testing.assert_array_equal(loaded.transform(shifted()), made.transform(shifted()))

    def to_the_past(arrays, settings):
        del settings["centre"], arrays["layer2/centre"]
        for one in settings["layers"]:
            del one["parameters"]["centre"]

    rewrite(path, to_the_past)
    loaded = Stack.load(path)
    assert loaded.centre == "given"
    assert [one.centre_ for one in loaded.layers_] == [None, None]


def test_a_stack_whose_centre_is_of_another_number_of_maps_is_refused(tmp_path):
    path = tmp_path / "stack.npz"
    Stack(two(), centre="above-first").fit(shifted()).save(path)
    rewrite(path, lambda arrays, _: arrays.update({"layer2/centre": np.zeros(9, np.float32)}))
    with pytest.raises(CheckpointError, match=r"layer 2 of .*'centre' has shape \(9,\)"):
        Stack.load(path)


def test_a_stack_that_says_of_its_layers_what_is_not_so_is_neither_saved_nor_loaded(tmp_path):
    path, message = tmp_path / "stack.npz", "layer 2 of .* was not centred .*'above-first'"
    made = Stack(two()).fit(shifted())
    made.save(path)
    with pytest.raises(ValueError, match=message):
        made.set_params(centre="above-first").save(tmp_path / "other.npz")
    assert [entry.name for entry in tmp_path.iterdir()] == ["stack.npz"]
    rewrite(path, lambda _, settings: settings.update(centre="above-first"))
    with pytest.raises(CheckpointError, match=message):
        Stack.load(path)


@pytest.mark.parametrize("value", ["all", True, None])
def test_another_choice_is_refused_before_any_training(value):
    x = Slices(shifted())
    with pytest.raises(ValueError, match=r"centre is .*; it must be one of 'given', 'above-first'"):
        Stack(two(), centre=value).fit(x)
    assert x.reads == []
