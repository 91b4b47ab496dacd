"""Cropped and resized images have their pixels where the definition puts them."""

import numpy as np
import pytest
from scipy import ndimage

from minisca import chunks
from minisca.preprocessing import crop_centre, resize_bilinear
from tests.support.helpers import assert_within, rounding_bound
from tests.support.layers import Slices


@pytest.mark.parametrize(("size", "side", "first"), [(96, 64, 16), (5, 2, 1), (5, 5, 0), (6, 3, 1)])
def test_the_crop_is_the_middle(size, side, first):
    x = np.arange(2 * 3 * size**2).reshape(2, 3, size, size)
    expected = x[:, :, first : first + side, first : first + side]
    np.testing.assert_array_equal(crop_centre(x, side), expected, strict=True)


@pytest.mark.parametrize(
    ("function", "side", "message"),
    [
        (crop_centre, 5, "side is 5; X has images of 4x5 pixels"),
        (crop_centre, 0, "side is 0; it must be an integer of at least 1"),
        (resize_bilinear, -1, "side is -1; it must be an integer of at least 1"),
    ],
)
def test_a_side_must_be_positive_and_a_crop_fit(function, side, message):
    with pytest.raises(ValueError, match=message):
        function(np.zeros((1, 1, 4, 5)), side)


def test_at_half_the_size_each_pixel_is_exactly_the_mean_of_four():
    x = np.random.default_rng(0).integers(0, 256, (5, 2, 64, 64), dtype=np.uint8)
    found = resize_bilinear(x, 32)
    fours = x.reshape(5, 2, 32, 2, 32, 2).sum(axis=(3, 5), dtype=np.int64)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, fours / 4)


def test_at_the_same_size_nothing_changes():
    x = np.random.default_rng(0).random((3, 2, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(resize_bilinear(x, 4), x)


@pytest.mark.parametrize("side", [1, 2, 3, 5, 7, 20])
def test_pixels_are_mixed_where_their_centres_lie(side):
    x = np.random.default_rng(0).random((2, 3, 6, 9)).astype(np.float32)
    rows, columns = ((np.arange(side) + 0.5) * n / side - 0.5 for n in (6, 9))
    places = np.meshgrid(range(2), range(3), rows, columns, indexing="ij")
    expected = ndimage.map_coordinates(x, places, np.float64, order=1, mode="nearest")
    # A weight is off by the rounding of a place, up to 8 eps64, and by its own to float32; 6 more
    # roundings follow, of values below 1.
    bound = np.full(expected.shape, rounding_bound(8, 1.0, np.float32))
    assert_within(resize_bilinear(x, side).astype(np.float64), expected, bound)


def test_resizing_reads_in_blocks(monkeypatch):
    x = np.random.default_rng(0).random((11, 2, 4, 5))
    whole = resize_bilinear(x, 3)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 4 * 40 * 8)
    np.testing.assert_array_equal(resize_bilinear(Slices(x), 3), whole)
