"""The loss of a step is a sum in float64, whatever its images are in."""

import math

import numpy as np
import pytest


@pytest.mark.parametrize("divisor", [1, 7])
def test_the_squares_of_a_residual_are_summed_in_float64(backend, dtype, divisor):
    rng = np.random.default_rng(0)
    x_hat, x = rng.standard_normal((2, 5, 2, 19, 11)).astype(dtype)
    x_hat[0, 0, 0, 0] = 3e4  # in float32 the others would drown
    loss, error = backend.residual(x_hat, x, divisor)
    differences = x_hat - x
    scaled = differences / differences.dtype.type(divisor)
    right = math.fsum(float(each) ** 2 for each in differences.flat)
    if not isinstance(loss, float):
        assert loss.dtype == np.float64
        loss = float(np.sum(backend.to_host(loss)))
    assert abs(loss - right) <= 1e-12 * right
    np.testing.assert_array_equal(backend.to_host(error), scaled)
