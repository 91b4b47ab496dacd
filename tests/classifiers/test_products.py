"""The classifier's products are the matrix products, whatever the sizes and the numbers' kind."""

import numpy as np
import pytest

from minisca.classifiers.kernels.products import accumulate_, make_strips, pack_weights, project
from tests.support.helpers import assert_within, rounding_bound

# rows, features, classes: one of everything, ragged tiles, strips and groups of classes
SHAPES = [(1, 1, 1), (3, 31, 2), (49, 32, 10), (50, 161, 16), (23, 70, 17), (97, 515, 40)]


def draw(shape, kind, dtype):
    n, n_features, n_classes = shape
    random = np.random.default_rng(sum(shape))
    block = (10 ** random.uniform(-7, 1, (n, n_features))).astype(kind)  # float16: subnormals too
    block[random.random(block.shape) < 0.2] = 0
    block *= random.choice([-1, 1], block.shape).astype(kind)
    return block, random.standard_normal((n_classes, n_features)).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("kind", "dtype"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_project_and_accumulate_are_the_matrix_products(shape, kind, dtype):
    block, weights = draw(shape, kind, dtype)
    n, n_features, n_classes = shape
    strips = make_strips(n, n_features, dtype)
    wide, exact = block.astype(np.float64), weights.astype(np.float64)
    for _ in range(2):  # the strips are used again
        projected = project(block, pack_weights(weights), n_classes, strips)
        bound = rounding_bound(n_features + 1, abs(wide) @ abs(exact).T, dtype)
        assert_within(projected, wide @ exact.T, bound)

    residuals = np.random.default_rng(0).standard_normal((n, n_classes)).astype(dtype)
    gradient = weights.copy()
    accumulate_(gradient, residuals, strips)
    expected = exact + residuals.T.astype(np.float64) @ wide
    magnitude = abs(exact) + abs(residuals.T).astype(np.float64) @ abs(wide)
    assert_within(gradient, expected, rounding_bound(n + 1, magnitude, dtype))


def test_a_smaller_block_leaves_nothing_of_the_larger_one_before_it():
    block, weights = draw((60, 40, 3), "float32", "float32")
    strips = make_strips(60, 40, "float32")
    project(block, pack_weights(weights), 3, strips)
    few = project(block[:5], pack_weights(weights), 3, strips)
    again = project(block[:5], pack_weights(weights), 3, make_strips(5, 40, "float32"))
    np.testing.assert_array_equal(few, again)
    gradients = np.zeros((2, 3, 40), np.float32)
    accumulate_(gradients[0], np.ones((5, 3), np.float32), strips)
    accumulate_(gradients[1], np.ones((5, 3), np.float32), make_strips(5, 40, "float32"))
    np.testing.assert_allclose(gradients[0][0], block[:5].sum(axis=0), rtol=1e-5)
    assert not gradients[1].any()
