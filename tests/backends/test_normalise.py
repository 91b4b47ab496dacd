"""A projection onto filters of length 1: what `normalise_filters_` promises, everywhere alike."""

import numpy as np
import pytest

from tests.support.cases import CASES, arguments, as_dtype

over_cases = pytest.mark.parametrize("case", CASES, ids=str)


def relative_bound(filters):
    """How far a weight may be from the right one, as a part of itself.

    With u = eps / 2 and N weights: a quotient by the largest is off by u, so its square, a product
    and N - 1 sums together by (N + 2) u, of which the root takes half; its own rounding, the
    quotient once more and that by the norm make it (N / 2 + 4) u. Twice that covers the terms of
    second order.
    """
    return (filters[0].size / 2 + 4) * np.finfo(filters.dtype).eps


def norms(filters):
    return np.sqrt((filters.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))


def draw(dtype, seed=0):
    return np.random.default_rng(seed).standard_normal((5, 2, 3, 3)).astype(dtype)


@over_cases
def test_every_filter_keeps_its_direction_and_has_length_1(operations, case, dtype):
    (filters,) = as_dtype(arguments("normalise_filters_", case), dtype)
    right = filters.astype(np.float64)
    right /= norms(right)[:, None, None, None]
    assert operations.normalise_filters_(filters) is None
    assert filters.dtype == dtype
    bound = relative_bound(filters)
    assert np.all(np.abs(filters - right) <= bound * np.abs(right))
    assert np.all(np.abs(norms(filters) - 1) <= bound)


def test_a_second_time_changes_nothing_but_for_rounding(operations, dtype):
    filters = draw(dtype)
    operations.normalise_filters_(filters)
    once = filters.copy()
    operations.normalise_filters_(filters)
    assert np.all(np.abs(filters - once) <= 2 * relative_bound(filters) * np.abs(once))


def test_a_filter_of_zeros_stays_one_and_the_others_do_not_care(operations, dtype):
    filters = draw(dtype)
    alone = filters[[0, 2, 3]].copy()
    filters[[1, 4]] = 0
    operations.normalise_filters_(filters)
    operations.normalise_filters_(alone)
    assert not filters[[1, 4]].any()
    np.testing.assert_array_equal(filters[[0, 2, 3]], alone)


@pytest.mark.parametrize("sign", [1, -1])
def test_filters_whose_squares_over_or_underflow_are_as_right_as_others(operations, dtype, sign):
    """By a power of two, all roundings are the same: no bit may differ."""
    power = {"float32": 100, "float64": 800}[dtype]
    filters, others = draw(dtype), draw(dtype)
    others *= np.array(2.0 ** (sign * power), dtype)
    with np.errstate(over="ignore", under="ignore"):
        squares = others[np.abs(others) > np.abs(others).max() / 2] ** 2
    assert np.all(np.isinf(squares) if sign > 0 else squares == 0)
    operations.normalise_filters_(filters)
    operations.normalise_filters_(others)
    np.testing.assert_array_equal(others, filters)


def test_the_largest_number_that_there_is_is_normalised(backend, dtype):
    filters = np.full((1, 1, 3, 3), np.finfo(dtype).max, dtype)
    backend.normalise_filters_(filters)
    assert np.all(np.abs(filters - 1 / 3) <= relative_bound(filters) / 3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_does_not_become_finite(backend, dtype, value):
    """Training that diverges is noticed by its parameters too."""
    filters = draw(dtype)
    filters[2, 1, 0, 1] = value
    backend.normalise_filters_(filters)
    assert not np.isfinite(filters[2]).all()
    assert np.isfinite(filters[[0, 1, 3, 4]]).all()


@pytest.mark.parametrize("dtype", ["float16", "int32", "bool", "complex64"])
def test_other_numbers_than_float32_and_float64_are_refused(backend, dtype):
    filters = np.ones((2, 1, 3, 3), dtype)
    with pytest.raises(TypeError, match=f"filters has dtype {dtype}; it must be float32 or float"):
        backend.normalise_filters_(filters)
    assert np.all(filters == 1)
