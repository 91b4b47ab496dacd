"""Triangle k-means: patches, activations, pooling as plain loops say; what it learns, refuses."""

import tracemalloc

import numpy as np
import pytest

import minisca
from minisca.baselines import dense_patches, draw_patches
from minisca.baselines.triangle import triangle
from minisca.datasets import load_mnist_sample
from minisca.preprocessing import contrast_normalise
from tests.support.baselines import pictures
from tests.support.baselines import triangle as estimator
from tests.support.layers import Slices

# Patches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2])
def test_dense_patches_are_those_of_a_loop(stride):
    x = pictures(n=2)
    found = dense_patches(x, 3, stride)
    assert found.shape == (2, len(range(0, 6, stride)), len(range(0, 5, stride)), 2, 3, 3)
    for i, row, column in np.ndindex(found.shape[:3]):
        y, z = row * stride, column * stride
        np.testing.assert_array_equal(found[i, row, column], x[i, :, y : y + 3, z : z + 3])


@pytest.mark.parametrize(("asked", "come"), [(30, 30), (1000, 48)])
def test_drawn_patches_are_different_places_of_the_images_in_a_random_order(asked, come):
    x = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 1, 5, 6)  # a pixel tells its place
    drawn = [tuple(patch.ravel()) for patch in draw_patches(x, asked, 3, random_state=0)]
    assert len(drawn) == len(set(drawn)) == come
    assert set(drawn) <= set(map(tuple, dense_patches(x, 3).reshape(48, 9)))
    assert drawn != sorted(drawn)


def test_images_that_only_slice_are_read_some_at_a_time(monkeypatch):
    monkeypatch.setattr("minisca.patches.READ_BATCH", 5)
    x = pictures()
    drawn = draw_patches(Slices(x), 50, 3, random_state=0)
    np.testing.assert_array_equal(drawn, draw_patches(x, 50, 3, random_state=0))


# Activations and pooling ----------------------------------------------------------------------


def naive_triangle(points, centres):
    activations = np.zeros((len(points), len(centres)))
    for i, point in enumerate(points.astype(np.float64)):
        z = [np.sqrt(np.sum((point - centre) ** 2)) for centre in centres.astype(np.float64)]
        activations[i] = [max(0, np.mean(z) - one) for one in z]
    return activations


def test_triangle_activations_are_those_of_a_loop(dtype):
    """z^2 is a sum of sums of d products: wrong by u = (d + 6) eps (|p| + |c|)^2 at most.

    So z is wrong by u / z and by sqrt(u) at most, the mean by the mean of that, both by the
    roundings of a root and of a sum of m.
    """
    rng = np.random.default_rng(0)
    points = rng.standard_normal((40, 6)).astype(dtype)
    centres = rng.standard_normal((9, 6)).astype(dtype)
    points[0] = centres[3]  # a distance of 0
    found = triangle(points, centres)
    assert found.dtype == dtype
    eps = np.finfo(dtype).eps
    lengths = np.linalg.norm(points, axis=1)[:, None] + np.linalg.norm(centres, axis=1).max()
    z = np.linalg.norm(points[:, None].astype(float) - centres, axis=2)
    u = (6 + 6) * eps * lengths**2
    wrong = np.minimum(np.sqrt(u), u / np.maximum(z, 1e-300))
    bound = wrong + wrong.mean(axis=1, keepdims=True) + (9 + 3) * eps * lengths
    assert np.all(np.abs(found - naive_triangle(points, centres)) <= bound)


def test_an_activation_is_0_for_every_centre_farther_than_the_mean():
    activations = triangle(np.zeros((1, 2)), np.array([[1.0, 0.0], [0.0, 3.0], [8.0, 0.0]]))
    np.testing.assert_allclose(activations, [[3.0, 1.0, 0.0]])


PLAIN = {"normalise": False, "whiten": False}


def naive_transform(made, x):
    """Every image by itself, every patch by itself."""
    m, k, g = made.n_maps, made.patch_width, made.grid
    out = np.zeros((len(x), m, g, g))
    centres = made.centres_.reshape(m, -1)
    for i, image in enumerate(x):
        maps = []
        for row in range(0, image.shape[1] - k + 1, made.stride):
            line = []
            for column in range(0, image.shape[2] - k + 1, made.stride):
                patch = image[None, :, row : row + k, column : column + k]
                if made.normalise:
                    patch = contrast_normalise(patch, made.contrast_epsilon)
                point = made.whitening_.astype(np.float64) @ (patch - made.mean_).ravel()
                line.append(naive_triangle(point[None], centres)[0])
            maps.append(line)
        height, width = len(maps), len(maps[0])
        for a, b in np.ndindex(g, g):
            rows = slice(height * a // g, height * (a + 1) // g)
            columns = slice(width * b // g, width * (b + 1) // g)
            out[i, :, a, b] = np.array(maps)[rows, columns].sum(axis=(0, 1))
    return out


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"grid": 1}, {"grid": 3, "patch_width": 2}, PLAIN],
    ids=str,
)
def test_features_are_those_of_plain_loops(options):
    x = pictures()
    made = estimator(**options).fit(x)
    expected = naive_transform(made, x[:3])
    found = made.transform(x[:3])
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    # distances of order 1 in float32, summed over up to 36 places
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_regions_cover_every_place_once():
    made = estimator(grid=4).fit(pictures(height=13, width=9))
    pool = made._pooling_matrix(11, 7)
    np.testing.assert_array_equal(pool.sum(axis=0), 1)


@pytest.mark.parametrize("block_bytes", [1, 20_000])
def test_small_blocks_change_nothing_but_rounding(monkeypatch, block_bytes):
    x = pictures()
    made = estimator().fit(x)
    whole = made.transform(x)
    monkeypatch.setattr("minisca.chunks.CHUNK_BYTES", block_bytes)
    np.testing.assert_allclose(made.transform(x), whole, rtol=1e-5, atol=1e-5)


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    """Beside features and images: a few blocks of patches, not all of them (40 times a block)."""
    monkeypatch.setattr("minisca.chunks.CHUNK_BYTES", 100_000)
    x = pictures(n=400)
    made = estimator().fit(x[:20])
    out = np.empty((400, 5, 2, 2), np.float32)
    peaks = []
    for n in (100, 400):
        made.transform(x[:n], out=out[:n])
        tracemalloc.start()
        made.transform(x[:n], out=out[:n])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    every_patch = 400 * 6 * 5 * 18 * 4
    assert peaks[1] < every_patch


def test_patches_are_white_before_they_are_clustered():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 1, 10, 10)).cumsum(axis=2).cumsum(axis=3)  # smooth
    made = estimator(n_patches=3000, zca_epsilon=1e-6, normalise=False).fit(x)
    points = made._whitened(draw_patches(x, 3000, 3, np.random.default_rng(0)))
    np.testing.assert_allclose(points.T @ points / 3000, np.eye(9), atol=1e-3)


def test_standardised_features_have_mean_0_and_nearly_deviation_1():
    x = pictures(n=50)
    plain = estimator().fit(x).transform(x).astype(np.float64)
    features = estimator(standardise=True).fit(x).transform(x)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)
    deviation = plain.std(axis=0)
    expected = deviation / np.sqrt(deviation**2 + 0.01)
    np.testing.assert_allclose(features.std(axis=0), expected, rtol=1e-3)


def test_a_feature_that_never_changes_is_standardised_to_0():
    x = np.zeros((9, 1, 6, 6), np.float32)
    x[:, :, ::2] = 1  # nine times the same image
    features = estimator(n_maps=2, standardise=True, n_iterations=1).fit(x).transform(x)
    np.testing.assert_allclose(features, 0, atol=1e-5)


def test_features_are_standardised_by_images_spread_over_all(monkeypatch):
    monkeypatch.setattr("minisca.baselines.triangle.STANDARDISING_IMAGES", 3)
    x = pictures()
    made = estimator(standardise=True).fit(Slices(x))
    plain = estimator().fit(x).transform(x[[0, 5, 11]])
    np.testing.assert_allclose(made.feature_mean_, plain.mean(axis=0), rtol=1e-5)


def test_features_go_where_they_are_asked_to_go():
    x = pictures()
    made = estimator().fit(x)
    out = np.empty((12, 5, 2, 2), np.float16)
    assert made.transform(x, out=out) is out
    np.testing.assert_allclose(out, made.transform(x), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match=r"out has shape \(12, 5\); it must be \(12, 5, 2, 2\)"):
        made.transform(x, out=np.empty((12, 5)))


# Learning -------------------------------------------------------------------------------------


def test_its_features_tell_digits_apart_far_beyond_chance():
    data = load_mnist_sample()
    made = estimator(n_maps=30, patch_width=6, n_patches=3000, n_iterations=8)
    features = made.fit_transform(data.train_images[:800])
    classifier = minisca.LogisticRegression(verbose=False).fit(features, data.train_labels[:800])
    score = classifier.score(made.transform(data.test_images[:300]), data.test_labels[:300])
    assert score > 0.8  # chance: 0.1


def test_the_objective_falls_while_fitting():
    made = estimator(n_iterations=10).fit(pictures())
    assert np.all(np.diff(made.objective_history_) <= 1e-5)
    assert made.objective_history_[-1] < made.objective_history_[0]


def test_fewer_images_than_centres_are_refused_where_each_is_one_patch():
    x = pictures()[:, :, :7]
    message = f"n_maps is {len(x) + 1}; it must be at most the number of patches, which is {len(x)}"
    with pytest.raises(ValueError, match=message):
        estimator(n_maps=len(x) + 1, patch_width=7, grid=1).fit(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 2)), 5, 1), r"images has shape \(2, 2\)"),
        ((np.zeros((2, 1, 3, 4)), 5, 4), "width is 4; for images of 3x4 pixels"),
        ((np.zeros((2, 1, 3, 4)), 0, 1), "n_patches is 0"),
    ],
)
def test_drawing_patches_refuses_what_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_patches(*arguments)
