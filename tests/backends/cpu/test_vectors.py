"""Functions of explicit vectors do what plain loops do, at sizes that fill registers and do not."""

import numpy as np
import pytest

from minisca.backends import get_backend
from minisca.backends.cpu.runtime import kernel
from minisca.backends.cpu.vectors import dots, patches
from minisca.backends.cpu.vectors.machine_code import call, vector_lanes

DTYPES = [np.float32, np.float64]


@kernel
def _move(function, filters, channels, sliced):
    call(function, filters, channels, sliced)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [16, 11, 1])
@pytest.mark.parametrize(("k", "per_slice"), [(5, 16), (7, 13), (3, 16), (1, 16), (5, 1)])
def test_a_filter_is_cut_into_runs_and_put_together_again(k, per_slice, channels, dtype):
    channels = min(channels, per_slice)
    run = k * per_slice + 8  # what fills it up stays as it is
    filters = np.random.default_rng(0).standard_normal((channels, k, k)).astype(dtype)
    sliced = np.full((k, run), 7, dtype)
    expected = sliced.copy()
    for c, dy, dx in np.ndindex(channels, k, k):
        expected[dy, dx * per_slice + c] = filters[c, dy, dx]
    there, back = (patches.slice_function(k, per_slice, run, np.dtype(dtype), b) for b in (0, 1))
    _move(there, filters, channels, sliced)
    np.testing.assert_array_equal(sliced, expected)
    again = np.zeros_like(filters)
    _move(back, again, channels, sliced)
    np.testing.assert_array_equal(again, filters)


@kernel
def _multiply(function, a, stride, b, b_stride, vectors, out, out_stride):
    call(function, a, stride, b, b_stride, vectors, out, out_stride)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("right", range(1, dots.RIGHT + 1))
def test_inner_products_are_added_and_none_depends_on_the_others(right, dtype):
    rng, n = np.random.default_rng(right), 5 * vector_lanes(dtype)
    a, b = rng.standard_normal((dots.LEFT, n + 3)), rng.standard_normal((dots.RIGHT, n + 1))
    a, b, found = a.astype(dtype), b.astype(dtype), {}
    for columns in (right, 1):
        out = np.full((dots.LEFT, 9), 2, dtype)
        function = dots.dots_function(columns, np.dtype(dtype))
        _multiply(function, a, a.shape[1], b, b.shape[1], 5, out, 9)
        assert (out[:, columns:] == 2).all()
        np.testing.assert_allclose(
            out[:, :columns], 2 + a[:, :n] @ b[:columns, :n].T, rtol=1e-5, atol=1e-5
        )
        found[columns] = out
    assert np.array_equal(found[right][:, 0], found[1][:, 0])


@pytest.mark.parametrize("n", [1, 2047, 2048, 2049, 200_001])
def test_momentum_is_the_formula_whatever_is_computed_at_a_time(n):
    rng = np.random.default_rng(n)
    parameter, gradient, velocity = rng.standard_normal((3, n)).astype(np.float32)
    rate, momentum = np.float32(0.01), np.float32(0.9)
    expected_velocity = momentum * velocity - rate * gradient
    expected = parameter + expected_velocity
    get_backend("cpu").sgd_momentum_(parameter, gradient, velocity, 0.01, 0.9)
    np.testing.assert_array_equal(velocity, expected_velocity)
    np.testing.assert_array_equal(parameter, expected)
