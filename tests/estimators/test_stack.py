"""Stack trains layers greedily, each on the features of the one below, encoded once."""

import numpy as np
import pytest

import minisca
from minisca import SparseConvAutoencoder, Stack, stack
from tests.support.layers import Slices, assert_same_state, images, layer

# 8x13 -> 4x7 -> 4x7 -> 2x1: few widths, for each compiles its own kernels
LAYERS = (
    {"n_maps": 3, "pool_stride": 2},
    {"n_maps": 5, "pool_stride": 1, "pool_origin": "corner", "random_state": 1},
    {"n_maps": 2, "pool_width": 5, "pool_stride": 7, "random_state": 2, "sparsity": "none"},
)


def wide(n=20, seed=0):
    return images(n=n, height=8, width=13, seed=seed)


def layers(depth=3):
    return [layer(**parameters) for parameters in LAYERS[:depth]]


@pytest.fixture(scope="module")
def fitted():
    return Stack(layers()).fit(wide())


@pytest.fixture
def count_encoded(monkeypatch):
    """How many images each call of a layer's `transform` encoded, in order, by its n_maps."""
    calls = []
    transform = SparseConvAutoencoder.transform

    def counted(self, X, **options):
        calls.append((self.n_maps, X.shape[0]))
        return transform(self, X, **options)

    monkeypatch.setattr(SparseConvAutoencoder, "transform", counted)
    return calls


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_stack_trains_what_training_its_layers_by_hand_trains(depth):
    made = Stack(layers(depth))
    assert made.fit(wide(), y=np.arange(20)) is made
    features = wide()
    for by_hand, trained in zip(layers(depth), made.layers_, strict=True):
        assert_same_state(trained, by_hand.fit(features))
        features = by_hand.transform(features)
    np.testing.assert_array_equal(made.transform(wide()), features)


def test_fit_encodes_the_images_once_by_every_layer_that_has_one_above(count_encoded):
    Stack(layers()).fit(wide())
    assert count_encoded == [(3, 20), (5, 20)]
    count_encoded.clear()
    made = Stack(layers())
    features = made.fit_transform(wide())
    assert count_encoded == [(3, 20), (5, 20), (2, 20)]  # and the last, for its features
    np.testing.assert_array_equal(features, made.transform(wide()))


def test_the_layers_given_are_copied_and_stay_unfitted():
    given = layers()
    made = Stack(given).fit(wide())
    assert made.layers is given
    assert not any(hasattr(one, "encoder_filters_") for one in given)
    assert [one.get_params() for one in made.layers_] == [one.get_params() for one in given]


def test_depth_stops_at_the_features_of_that_layer(fitted):
    features = wide(n=7)
    for depth, one in enumerate(fitted.layers_, start=1):
        features = one.transform(features)
        np.testing.assert_array_equal(fitted.transform(wide(n=7), depth=depth), features)
    assert features.shape == (7, 2, 1, 1)
    out = np.empty(features.shape, np.float16)
    assert fitted.transform(wide(n=7), out=out) is out
    np.testing.assert_array_equal(out, features.astype(np.float16))


def test_images_pass_through_all_layers_a_chunk_at_a_time(fitted, count_encoded, monkeypatch):
    x = Slices(wide())
    expected = fitted.transform(x.array)
    x.reads.clear()
    count_encoded.clear()
    monkeypatch.setattr(stack, "ENCODE_BATCH", 8)
    np.testing.assert_array_equal(fitted.transform(x), expected)
    assert [len(rows) for rows in x.reads] == [8, 8, 4]
    assert count_encoded == [(maps, n) for n in (8, 8, 4) for maps in (3, 5, 2)]


def test_a_stack_trains_on_anything_that_slices(fitted):
    x = Slices(wide())
    made = Stack(layers()).fit(x)
    assert max(len(rows) for rows in x.reads) == 20  # encoding; the batches of training are smaller
    for one, other in zip(made.layers_, fitted.layers_, strict=True):
        assert_same_state(one, other)


# Parameters ---------------------------------------------------------------------------------------


def test_the_parameters_of_a_layer_are_reached_by_its_index():
    made = Stack(layers(2))
    assert made.get_params()["layers__1__n_maps"] == 5
    made.set_params(layers__0__n_maps=2, layers__1__learning_rate=0.002).fit(wide())
    assert made.layers_[0].encoder_filters_.shape == (2, 1, 3, 3)
    assert made.layers_[1].encoder_filters_.shape == (5, 2, 3, 3)
    assert made.layers_[1].learning_rate == 0.002


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, "layers is empty; it must hold at least one SparseConvAutoencoder"),
        (3, TypeError, "layers is 3; it must be a list of layers"),
        (layer(), TypeError, r"layers is SparseConvAutoencoder\(.*; it must be a list of layers"),
        ([layer(), "top"], TypeError, r"layers\[1\] is 'top'; it must be a SparseConvAutoencoder"),
        ([SparseConvAutoencoder], TypeError, r"layers\[0\] is <class .*; it must be a SparseConvA"),
        ([layer(), layer(filter_width=4)], ValueError, r"layers\[1\]: filter_width is 4; it must"),
    ],
)
def test_what_is_no_list_of_good_layers_is_refused_before_any_training(given, error, message):
    x = Slices(wide())
    with pytest.raises(error, match=message):
        Stack(given).fit(x)
    assert x.reads == []


def test_an_unfitted_stack_says_so():
    with pytest.raises(minisca.NotFittedError, match="this Stack is not fitted yet; call fit"):
        Stack(layers()).transform(wide())


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (wide(), {"depth": 4}, ValueError, "depth is 4; it must be at most 3"),
        (wide(), {"depth": 0}, ValueError, "depth is 0; it must be an integer of at least 1"),
        (wide(), {"depth": 1.0}, TypeError, "depth is 1.0; it must be an integer of at least 1"),
        (images(channels=2, width=13), {}, ValueError, "X has 2 channels .* it must have 1, as in"),
        (images(), {}, ValueError, "X has images of 8x7 pixels; they must be 8x13"),
        (np.full((9, 1, 8, 13), np.nan), {}, ValueError, "X has the value nan in image 0"),
        (wide(), {"out": np.empty((20, 2))}, ValueError, r"\(20, 2\); it must be \(20, 2, 1, 1\)"),
        (wide(), {"out": np.empty((20, 2, 1, 1), int)}, TypeError, "out is of int64; it must be"),
    ],
    ids=lambda value: str(value)[:20].split("[")[0],
)
def test_what_cannot_be_encoded_is_refused(fitted, x, options, error, message):
    with pytest.raises(error, match=message):
        fitted.transform(x, **options)
