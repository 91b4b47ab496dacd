"""How arrays get to a device and back: as bytes or halves, cast there, while kernels run."""

import numpy as np
import pytest

from minisca.backends import get_backend
from tests.support.backends import BACKENDS

CENTRE = np.array([0.25, -3, 7])
KINDS = ("uint8", "float16", "float32", "float64")


@pytest.fixture(params=BACKENDS)
def column(request):
    """A backend's module, its results where it leaves them."""
    return get_backend(request.param)


def numbers(dtype):
    x = np.random.default_rng(0).integers(0, 255, (2, 3, 2, 5))
    return (x if dtype == "uint8" else x / 7 - 11).astype(dtype)


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("dtype", KINDS[1:])
def test_a_cast_is_numpys(column, source, dtype):
    x, number = numbers(source), np.float32 if dtype == "float16" else np.dtype(dtype).type
    plain = column.to_host(column.cast(x, dtype))
    np.testing.assert_array_equal(plain, x.astype(number).astype(dtype), strict=True)
    centre = CENTRE.astype(number)
    there = column.cast(column.to_device(x), dtype, centre)
    right = (x.astype(number) - centre[:, None, None]).astype(dtype)
    np.testing.assert_array_equal(column.to_host(there), right, strict=True)


def test_what_is_too_large_for_halves_becomes_infinite_and_what_is_no_number_stays_it(column):
    x = np.array([[7e4, -1e6, 6e-8, np.nan]], np.float32)
    found = column.to_host(column.cast(x, "float16"))
    np.testing.assert_array_equal(found, np.array([[np.inf, -np.inf, 6e-8, np.nan]], np.float16))


@pytest.mark.parametrize("dtype", KINDS)
def test_images_are_gathered_as_they_are(column, dtype):
    x, rows = numbers(dtype), np.array([1, 0, 1])
    for images in (x, column.to_device(x)):
        gathered = column.to_host(column.gather(images, rows))
        np.testing.assert_array_equal(gathered, x[rows], strict=True)


def test_what_is_sent_and_fetched_is_the_same(column):
    x = numbers("float32")
    sent = column.send(x.copy())
    there = sent()
    assert column.holds(there)
    np.testing.assert_array_equal(column.fetch(column.scaled(there, 2))(), 2 * x, strict=True)
    room = column.pinned((2, 3), "float16")
    assert isinstance(room, np.ndarray)
    assert (room.shape, room.dtype) == ((2, 3), np.float16)


def test_bad_arguments_of_a_cast_are_named(column):
    x = numbers("float32")
    with pytest.raises(TypeError, match="dtype is int32; it must be float16, float32 or float64"):
        column.cast(x, "int32")
    with pytest.raises(TypeError, match="array is of int16 and rank 4; it must be"):
        column.cast(x.astype(np.int16), "float32")
    with pytest.raises(ValueError, match=r"centre is of float32 and shape \(2,\); it must be"):
        column.cast(x, "float32", CENTRE[:2])
    with pytest.raises(ValueError, match=r"array has shape \(0, 3\); no side may be 0"):
        column.cast(np.empty((0, 3), np.float32), "float32")
