"""Float32 becomes float16 as NumPy has it, bit by bit."""

import numpy as np
import pytest

from minisca import halves
from minisca.backends import cpu
from minisca.halves import narrowed
from minisca.keeping import Filling

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = EVERY[np.isfinite(EVERY)]


def expected(numbers):
    with np.errstate(under="ignore"):
        return numbers.astype(np.float16)


def check(numbers):
    found = narrowed(numbers)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found.view(np.uint16), expected(numbers).view(np.uint16))


def test_every_half_stays_what_it_is():
    check(FINITE.astype(np.float32))


@pytest.mark.parametrize("nudge", [-1, 0, 1])
def test_what_lies_between_two_goes_to_the_nearer_or_the_even_one(nudge):
    """Just below, at and just above the middle of every two neighbours, subnormal ones too."""
    rising = np.sort(FINITE[FINITE >= 0]).astype(np.float32)
    middles = (rising[:-1] + rising[1:]) / 2
    if nudge:
        middles = np.nextafter(middles, np.float32(nudge) * np.float32(np.inf))
    check(np.concatenate([middles, -middles]))


def test_what_is_far_below_every_half_is_0():
    check(np.array([1e-45, -1e-45, 1e-38, 2**-25, -(2**-25), 0.0, -0.0], np.float32))


def test_all_bits_at_random():
    bits = np.random.default_rng(7).integers(0, 2**32, 300_000, np.uint32).view(np.float32)
    check(bits[np.abs(bits) < 65520])


@pytest.mark.parametrize("length", [1, 7, 8, 9, 33, halves.PIECE + 5])
def test_any_length_and_shape(length):
    check(np.linspace(-70, 60000, length, dtype=np.float32))
    check(np.linspace(-1, 1, 2 * length, dtype=np.float32).reshape(2, length))


@pytest.mark.parametrize("bad", [65520, -65520, 1e30, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 20, 32])
def test_what_does_not_fit_is_told(bad, place):
    numbers = np.ones(33, np.float32)
    numbers[place] = bad
    assert narrowed(numbers) is None
    numbers[place] = 65519
    check(numbers)


def test_features_that_do_not_fit_are_infinite_and_numpy_says_so():
    made, out = np.array([[1.5, 7e4, 3.0]], np.float32), np.empty((2, 3), np.float16)
    with Filling(cpu, out) as filling:
        filling.put(slice(0, 1), made[:, [0, 2, 2]])
        with pytest.warns(RuntimeWarning, match="overflow"):
            filling.put(slice(1, 2), made)
    np.testing.assert_array_equal(out, [[1.5, 3, 3], [1.5, np.inf, 3]])
