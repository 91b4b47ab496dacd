"""What the scripts make of features: shifts, scalings, layers side by side, draws of labels."""

import numpy as np
import pytest
from features.altered import augmented, shifted
from features.joined import JoinedFeatures, unit_variance
from features.scaling import FeatureScaling
from tables.few_labels import draw_rows, pca

from minisca import LogisticRegression, SoftmaxSGD


def windows(images, places):
    """The images moved so that they show what began at (row, column) of them padded by one zero."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = images.shape[2:]
    return [padded[:, :, row : row + height, column : column + width] for row, column in places]


def test_the_eight_shifts_move_by_one_pixel_and_let_zeros_in():
    image = np.arange(1.0, 13).reshape(1, 1, 3, 4)
    expected = windows(image, [place for place in np.ndindex(3, 3) if place != (1, 1)])
    found = [moved.tobytes() for moved in shifted(image)]
    assert len(found) == 8
    assert set(found) == {window.tobytes() for window in expected}


@pytest.mark.parametrize(
    "encode",
    [lambda images: 2 * images, lambda images: JoinedFeatures([images, images[:, :, :2]], [2, 1])],
    ids=["array", "joined"],
)
def test_augmented_features_are_the_images_own_and_of_four_shifts_with_their_labels(encode):
    images = np.random.default_rng(0).random((1100, 1, 5, 6)).astype(np.float16)
    labels = np.arange(1100) % 10
    features, repeated = augmented(encode(images), labels, images, encode)
    assert features.dtype == np.float16
    places = [(1, 1), (2, 1), (1, 2), (1, 0), (0, 1)]  # the image itself, up, left, right, down
    expected = [np.asarray(encode(moved)) for moved in windows(images, places)]
    np.testing.assert_array_equal(features, np.concatenate(expected))
    np.testing.assert_array_equal(repeated, np.tile(labels, 5))


def test_layers_side_by_side_are_read_as_if_they_were_copied():
    rng = np.random.default_rng(0)
    parts = [rng.random((50, 3, 2, 2), dtype=np.float32), 9 * rng.random((50, 5)).astype("f2")]
    scales = unit_variance(parts)
    joined = JoinedFeatures(parts, scales)
    flat = [part.reshape(50, -1).astype(np.float32) for part in parts]
    copied = np.hstack([p * np.float32(s) for p, s in zip(flat, scales, strict=True)])
    np.testing.assert_array_equal(np.asarray(joined), copied)
    np.testing.assert_array_equal(np.asarray(joined[7:20]), copied[7:20])
    for columns in (slice(0, 12), slice(12, 17)):
        assert copied[:, columns].var(axis=0).mean() == pytest.approx(1, rel=1e-3)
    labels = np.arange(50) % 3
    for made in (LogisticRegression, lambda: SoftmaxSGD(n_epochs=2, random_state=0)):
        fitted, expected = (made().fit(x[:40], labels[:40]) for x in (joined, copied))
        assert np.array_equal(fitted.coef_, expected.coef_)
        assert np.array_equal(fitted.predict(joined[40:]), expected.predict(copied[40:]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_feature_scalings_do_what_they_are_named_after(dtype):
    rng = np.random.default_rng(0)
    features = (rng.random((1100, 3, 2, 2)) * [[[[1]], [[4]], [[0]]]]).astype(dtype)

    def scaled(kind):
        return FeatureScaling(kind).fit(features[:1050]).apply_(features.copy()).astype(np.float64)

    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_array_equal(scaled("none"), features)
    squares = np.square(scaled("per-map")[:1050]).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(squares, [1, 1, 0], rtol=tolerance)
    np.testing.assert_allclose(scaled("root"), np.sqrt(features.astype("f8")), rtol=tolerance)
    least = np.finfo(dtype).smallest_subnormal  # what of small numbers' squares is left
    np.testing.assert_allclose(scaled("square"), features.astype("f8") ** 2, tolerance, least)
    lengths = np.square(scaled("per-image")).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(lengths, 1, rtol=tolerance)
    with pytest.raises(ValueError, match="feature_scaling is 'odd'; it must be one of none"):
        FeatureScaling("odd")


def test_a_draw_has_as_many_labels_of_every_class_and_is_repeatable():
    labels = np.random.default_rng(0).integers(0, 4, 200)
    rows = draw_rows(labels, 10, 0, 0)
    assert np.bincount(labels[rows]).tolist() == [10] * 4
    assert len(set(rows)) == 40
    for seed, draw in ((0, 0), (0, 1), (1, 0)):
        same = np.array_equal(rows, draw_rows(labels, 10, seed, draw))
        assert same == (seed == draw == 0)


def test_pca_keeps_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    images = (5 + rng.standard_normal((500, 4)) * [1, 9, 3, 0.1]).astype(np.float32)
    found = pca(images.reshape(500, 1, 2, 2), 2)(images.reshape(500, 1, 2, 2))
    variances = np.linalg.eigvalsh(np.cov(images.T.astype(np.float64)))[::-1]
    np.testing.assert_allclose(found.var(axis=0, ddof=1), variances[:2], rtol=1e-4)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
