"""What a trained SparseConvAutoencoder encodes and rebuilds is what the reference computes."""

import numpy as np
import pytest
from scipy.signal import correlate2d

import reference
from minisca import encoding
from tests.support.helpers import assert_within, rounding_bound
from tests.support.layers import PARAMETERS, RULES, Slices, images, layer, over_rules

METHODS = ("transform", "feature_maps", "winners", "reconstruct", "usage", "score")


@pytest.fixture(scope="module")
def fitted():
    """A layer trained a little on images of two channels."""
    return layer(n_epochs=4).fit(images(channels=2))


@pytest.fixture(scope="module")
def x():
    """New images for it."""
    return images(n=5, channels=2, seed=1)


def encoder_bound(layer, x):
    """How far a float32 pre-activation may be from the reference's."""
    _, c, k, _ = layer.encoder_filters_.shape
    sizes = np.abs(x), np.abs(layer.encoder_filters_), np.abs(layer.encoder_bias_)
    return rounding_bound(c * k * k + 1, reference.conv2d(*sizes), np.float32)


@pytest.mark.parametrize(("width", "stride"), [(3, 2), (5, 3), (1, 1), (2, 4), (20, 10)])
@pytest.mark.parametrize("origin", ["centred", "corner"])
def test_features_have_the_ceiling_of_size_over_stride_and_the_references_values(
    fitted, x, width, stride, origin
):
    made = layer(pool_width=width, pool_stride=stride, pool_origin=origin, n_epochs=0).fit(x)
    for name in PARAMETERS:
        setattr(made, name, getattr(fitted, name))
    features = made.transform(x)
    assert features.shape == (5, 4, -(-8 // stride), -(-7 // stride))
    expected = reference.encode_pooled(
        x, fitted.encoder_filters_, fitted.encoder_bias_, width, stride, origin
    )
    assert_within(features, expected, encoder_bound(fitted, x).max())


def test_transform_fills_and_returns_out_whatever_floats_it_holds(fitted, x):
    features = fitted.transform(x)
    out = np.empty(features.shape, np.float16)
    assert fitted.transform(x, out=out) is out
    np.testing.assert_array_equal(out, features.astype(np.float16))
    np.testing.assert_array_equal(layer().fit_transform(x), layer().fit(x).transform(x))


def test_feature_maps_are_relu_of_the_correlation_with_the_encoder_filters(fitted, x):
    maps = fitted.feature_maps(x)
    expected = reference.relu(reference.conv2d(x, fitted.encoder_filters_, fitted.encoder_bias_))
    assert maps.min() == 0
    assert_within(maps, expected, encoder_bound(fitted, x))
    other = np.zeros((5, 4, 8, 7))  # another library's correlation
    for n, m, c in np.ndindex(5, 4, 2):
        image = x[n, c].astype(np.float64)
        other[n, m] += correlate2d(image, fitted.encoder_filters_[m, c], mode="same")
    other = np.maximum(0, other + fitted.encoder_bias_.reshape(-1, 1, 1))
    assert_within(maps, other, encoder_bound(fitted, x))


def test_winners_are_the_largest_units_of_the_feature_maps_under_any_rule(x):
    made = layer(sparsity="top-n", n_active=3).fit(x)
    values, positions = made.winners(x)
    maps = made.feature_maps(x).reshape(5, 4, -1)
    assert positions.dtype == np.int32
    np.testing.assert_array_equal(values, maps.max(axis=2))
    np.testing.assert_array_equal(positions, maps.argmax(axis=2))


def reference_code(made, x):
    """Values, positions and maps (or None) by the reference, for the rule of the layer."""
    arguments = x, made.encoder_filters_, made.encoder_bias_
    if made.sparsity == "winner-take-all":
        return *reference.encode_winners(*arguments), None
    encode = {"top-n": reference.encode_top_n, "k-largest": reference.encode_k_largest}
    return encode[made.sparsity](*arguments, made.n_active)


@over_rules
def test_reconstruct_is_the_references_decoding_of_the_survivors(rule, x):
    made = layer(**RULES[rule], n_epochs=4).fit(x)
    decoder = made.decoder_filters_, made.decoder_bias_
    if made.sparsity == "none":
        maps = reference.conv2d(x, made.encoder_filters_, made.encoder_bias_)
        rebuilt = reference.deconv2d(reference.relu(maps), *decoder)
    else:
        values, positions, maps = reference_code(made, x)
        rebuilt = reference.decode_winners(values, positions, *decoder, (8, 7), maps)
    # every unit wrong by the encoder's bound, pasted by at most m k k filter taps; then the sums
    m, _, k, _ = made.decoder_filters_.shape
    largest = np.abs(decoder[0]).max(axis=(0, 2, 3)).reshape(-1, 1, 1)
    sizes = reference.deconv2d(made.feature_maps(x), *map(np.abs, decoder))
    bound = m * k * k * largest * encoder_bound(made, x).max()
    bound = bound + rounding_bound(m * k * k + 1, sizes, np.float32)
    assert bound.max() < 1e-3 * np.abs(x).max()
    assert_within(made.reconstruct(x), rebuilt, bound)


@over_rules
def test_score_is_minus_the_mean_squared_distance_of_the_reconstruction(rule, x):
    made = layer(**RULES[rule]).fit(x)
    distance = np.sum((made.reconstruct(x).astype(np.float64) - x) ** 2) / len(x)
    assert made.score(x) == pytest.approx(-distance, rel=1e-6)
    if rule != "lifetime":  # which the loss of a batch has and the score has not
        assert made.score(x) == pytest.approx(-made.loss_and_gradients(x)[0], rel=1e-6)


@over_rules
def test_usage_is_the_fraction_of_images_in_which_a_map_has_a_survivor(rule):
    x = images(n=10)
    x[0] = 0  # nothing survives there
    made = layer(**RULES[rule]).fit(x)
    made.encoder_bias_[:] = [0, -1e3, -0.2, -0.4]
    used = np.zeros((10, 4), bool)
    if made.sparsity in ("top-n", "k-largest"):
        values, _, maps = reference_code(made, x)
        for image, slot in zip(*np.nonzero(values), strict=True):
            used[image, maps[image, slot]] = True
    else:
        used = made.feature_maps(x).any(axis=(2, 3))
    usage = made.usage(x)
    np.testing.assert_array_equal(usage, used.mean(axis=0))
    assert usage[1] == 0
    assert usage.max() == 0.9


@pytest.mark.parametrize("factor", [0, 0.5, np.float64(2)])
def test_the_encoding_bias_is_a_factor_on_the_bias_of_features_and_maps_alone(x, factor):
    plain = layer().fit(x)
    plain.encoder_bias_[:] = [-0.2, 0.1, -0.1, 0.3]
    scaled = layer(encoding_bias=factor).fit(x)
    scaled.encoder_bias_[:] = plain.encoder_bias_
    by_hand = layer().fit(x)
    by_hand.encoder_bias_[:] = np.float32(factor) * plain.encoder_bias_
    for method in METHODS[:2]:
        found = getattr(scaled, method)(x)
        np.testing.assert_array_equal(found, getattr(by_hand, method)(x), strict=True)
        assert not np.array_equal(found, getattr(plain, method)(x))
    for method in METHODS[2:]:
        np.testing.assert_array_equal(getattr(scaled, method)(x), getattr(plain, method)(x))


def test_changed_parameters_do_not_change_what_was_learned(fitted, x):
    features = fitted.transform(x)
    copy = layer(n_epochs=4).fit(images(channels=2)).set_params(dtype="float64", n_maps=9)
    np.testing.assert_array_equal(copy.transform(x), features, strict=True)


def test_images_in_any_memory_order_give_the_same(fitted, x):
    expected = fitted.transform(x)
    assert np.array_equal(fitted.transform(np.asfortranarray(x)), expected)
    wide = np.repeat(x, 2, axis=3)
    assert np.array_equal(fitted.transform(wide[:, :, :, ::2]), expected)


@pytest.mark.parametrize("method", METHODS)
def test_encoding_reads_a_batch_at_a_time_and_gives_what_the_array_gives(
    fitted, method, monkeypatch
):
    monkeypatch.setattr(encoding, "ENCODE_BATCH", 8)
    x = Slices(images(n=20, channels=2))
    chunked = getattr(fitted, method)(x)
    assert sorted({len(rows) for rows in x.reads}) == [4, 8]
    monkeypatch.undo()
    whole = getattr(fitted, method)(x.array)
    if method == "score":  # added up in another order
        assert chunked == pytest.approx(whole, rel=1e-12)
    else:
        np.testing.assert_array_equal(chunked, whole)
