"""Preprocessing does what its formulas say, block by block, and refuses what is no image."""

import tracemalloc

import numpy as np
import pytest

from minisca import NotFittedError, chunks
from minisca.preprocessing import ZCA, contrast_normalise, crop_centre, resize_bilinear
from tests.support.helpers import assert_within, rounding_bound
from tests.support.layers import Slices

SHAPE = (2, 4, 5)
D = 40
U32 = np.finfo(np.float32).eps / 2


def correlated(n=300, seed=0, mean=3.0):
    """Images (n, 2, 4, 5) whose variances fall from 25 to 0, float64."""
    rng = np.random.default_rng(seed)
    scales = np.linspace(5, 0, D)
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0]
    return (mean + rng.standard_normal((n, D)) * scales @ turn).reshape(n, *SHAPE)


def flat(images):
    return np.asarray(images, np.float64).reshape(len(images), -1)


# contrast normalisation -------------------------------------------------------------------


def test_contrast_normalised_images_have_mean_0_and_a_standard_deviation_just_below_1():
    x = correlated()
    found = contrast_normalise(x, epsilon=0.01)
    assert found.dtype == np.float32
    assert found.shape == x.shape
    std = flat(x).std(axis=1)
    # Rounding to float32 moves every value by at most U32 of the largest, hence the mean as well,
    # and the standard deviation by no more than twice that.
    rounding = U32 * np.abs(flat(found)).max()
    assert np.abs(flat(found).mean(axis=1)).max() <= rounding
    assert np.abs(flat(found).std(axis=1) - std / (std + 0.01)).max() <= 2 * rounding


@pytest.mark.parametrize("value", [0, 0.1, 1, 255])
def test_flat_images_become_0(value):
    found = contrast_normalise(np.full((3, 2, 4, 5), value, np.float64))
    # The mean of 40 equal numbers is off by 40 roundings at most; then it is divided by 1e-3.
    assert np.abs(found).max() <= 40 * np.finfo(np.float64).eps * value / 1e-3


def test_contrast_and_brightness_of_the_whole_image_do_not_matter():
    x = correlated(n=20)
    one, other = (contrast_normalise(images, epsilon=1e-9) for images in (x, 7 * x - 3))
    np.testing.assert_allclose(one, other, rtol=0, atol=2 * U32 * np.abs(one).max() + 1e-8)


def test_each_image_is_normalised_by_itself_and_left_as_it_was(monkeypatch):
    x = correlated(n=7)
    whole = contrast_normalise(x)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 3 * D * 8)
    np.testing.assert_array_equal(contrast_normalise(Slices(x)), whole)
    np.testing.assert_array_equal(contrast_normalise(x[3:4]), whole[3:4])
    np.testing.assert_array_equal(x, correlated(n=7))


# whitening --------------------------------------------------------------------------------


def test_the_whitening_matrix_is_the_inverse_root_of_the_covariance_plus_epsilon():
    """It is the only symmetric positive matrix that is, so this is the whole definition."""
    x = correlated()
    zca = ZCA(epsilon=0.1).fit(x)
    covariance = np.cov(flat(x).T, bias=True)
    w = zca.whitening_.astype(np.float64)
    np.testing.assert_array_equal(w, w.T)
    assert np.linalg.eigvalsh(w).min() > 0
    regularised = covariance + 0.1 * np.eye(D)
    # Each entry of W is rounded to float32, and enters the product twice.
    bound = 2 * U32 * np.abs(w) @ np.abs(regularised) @ np.abs(w) + 1e-12
    assert_within(w @ regularised @ w, np.eye(D), bound)


def test_whitened_images_are_uncorrelated_with_variance_1_where_it_was_far_above_epsilon():
    x = correlated(n=1000)
    zca = ZCA(epsilon=0.01).fit(x)
    y = zca.transform(x)
    values, vectors = np.linalg.eigh(np.cov(flat(x).T, bias=True))
    found = vectors.T @ np.cov(flat(y).T, bias=True) @ vectors
    # Every whitened value is a float32 sum of D products: the error of a covariance is at most
    # twice the mean product of an error with a value.
    centred = flat(x) - flat(x).mean(axis=0)
    error = rounding_bound(D, np.abs(centred) @ np.abs(zca.whitening_), np.float32)
    bound = 2.01 * np.abs(vectors).T @ (error.T @ np.abs(flat(y)) / len(y)) @ np.abs(vectors)
    assert_within(found, np.diag(values / (values + 0.01)), bound + 1e-12)
    large = values > 1
    assert large.sum() > D / 2
    near_identity = found[np.ix_(large, large)] - np.eye(large.sum())
    assert np.abs(near_identity).max() < 0.01 + bound.max()


def test_inverse_transform_undoes_transform():
    x = correlated()
    zca = ZCA(epsilon=0.1).fit(x)
    again = zca.inverse_transform(zca.transform(x))
    np.testing.assert_array_equal(x, correlated())  # which is left as it was
    assert again.dtype == np.float32
    # Two float32 products in a row, of D terms each, then the mean is added.
    centred = np.abs(flat(x) - zca.mean_.ravel())
    sizes = centred @ np.abs(zca.whitening_) @ np.abs(zca.dewhitening_) + np.abs(zca.mean_.ravel())
    assert_within(flat(again), flat(x), rounding_bound(2 * D + 4, sizes, np.float32))


def test_eigenvalues_are_the_covariances_largest_first():
    x = correlated()
    expected = np.linalg.eigvalsh(np.cov(flat(x).T, bias=True))[::-1]
    np.testing.assert_allclose(ZCA().fit(x).eigenvalues_, expected, atol=1e-12 * expected[0])


@pytest.mark.parametrize("images", [1, 7, 300])
def test_the_size_of_the_blocks_does_not_change_the_result(monkeypatch, images):
    x = correlated()
    whole = ZCA().fit(x)
    y = whole.transform(x)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", images * D * 8)
    blocked = ZCA().fit(Slices(x))
    # In another order, a float64 sum over 300 images is off by 300 roundings at most; the inverse
    # root turns a change of the covariance into at most 1 / (2 epsilon^1.5) of it; then each matrix
    # is rounded to float32.
    moved = 300 * np.finfo(np.float64).eps * np.sum(flat(x) ** 2) / 300 / (2 * 0.1**1.5)
    bound = 2 * U32 * np.abs(whole.whitening_) + moved
    assert_within(blocked.whitening_, whole.whitening_, bound)
    assert_within(blocked.mean_, whole.mean_, 300 * np.finfo(np.float64).eps * np.abs(x).mean(0))
    error = rounding_bound(D, np.abs(flat(x) - 3) @ np.abs(whole.whitening_), np.float32)
    assert_within(flat(whole.transform(x)), flat(y), error)


def test_images_are_read_in_blocks_and_never_held_whole(monkeypatch):
    x = correlated(n=20_000).astype(np.float32)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100 * D * 8)
    ZCA().fit(x[:200])  # what is loaded at the first use
    tracemalloc.start()
    ZCA().fit(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 4


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_whatever_the_images_are_the_whitened_ones_are_float32(dtype):
    x = correlated(mean=100).astype(dtype)
    zca = ZCA()
    y = zca.fit_transform(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, zca.transform(x))
    out = np.empty(x.shape, np.float16)
    assert zca.transform(x, out=out) is out
    np.testing.assert_array_equal(out, y.astype(np.float16))


def test_a_singular_covariance_is_no_obstacle():
    assert np.isfinite(ZCA().fit_transform(contrast_normalise(correlated()))).all()
    assert not ZCA().fit_transform(np.ones((1, *SHAPE))).any()


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_a_whitener_refuses_images_of_another_shape_and_before_fit_all(method):
    zca = ZCA()
    with pytest.raises(NotFittedError, match="this ZCA is not fitted yet"):
        getattr(zca, method)(correlated(n=2))
    zca.fit(correlated())
    with pytest.raises(ValueError, match=r"X has 1 channels .*; it must have 2, as in fit"):
        getattr(zca, method)(np.zeros((3, 1, 4, 5)))
    with pytest.raises(ValueError, match="images of 5x4 pixels; they must be 4x5, as in fit"):
        getattr(zca, method)(np.zeros((3, 2, 5, 4)))


FUNCTIONS = [contrast_normalise, ZCA().fit, lambda x: resize_bilinear(x, 2)]


@pytest.mark.parametrize("function", [*FUNCTIONS, lambda x: crop_centre(x, 2)])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 4, 5)), r"X has shape \(3, 4, 5\)"),
        (np.zeros((0, 1, 4, 5)), "no side may be 0"),
        (np.zeros((3, 1, 4, 5), complex), "dtype complex128"),
    ],
)
def test_what_is_no_image_is_refused(function, images, message):
    with pytest.raises((ValueError, TypeError), match=message):
        function(images)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_pixels_that_are_not_finite_are_refused(function):
    x = correlated(n=3)
    x[2, 1, 0, 3] = np.nan
    with pytest.raises(ValueError, match="X has the value nan in image 2"):
        function(x)


@pytest.mark.parametrize("epsilon", [0, -1, np.nan, np.inf, "small", None])
@pytest.mark.parametrize(
    "function", [contrast_normalise, lambda x, epsilon: ZCA(epsilon=epsilon).fit(x)]
)
def test_epsilon_must_be_positive(function, epsilon):
    with pytest.raises((ValueError, TypeError), match=r"epsilon is .* a number in \(0, inf\)"):
        function(correlated(n=3), epsilon=epsilon)
