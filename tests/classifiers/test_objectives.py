"""What the classifiers minimise: the loss by its definition, and its gradient."""

import numpy as np
import pytest

from minisca.classifiers.logistic import cross_entropy
from minisca.classifiers.svm import squared_hinge
from tests.support.classifier_problems import objective, problem


def draw():
    rng = np.random.default_rng(1)
    return rng.standard_normal((3, 12)), rng.standard_normal(3)


def cross_entropies(scores, codes):
    exponentials = np.exp(scores)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return -np.log(probabilities[np.arange(len(codes)), codes]).sum()


def squared_hinges(scores, codes):
    total = 0.0
    for row, code in zip(scores, codes, strict=True):
        for c in range(3):
            total += max(0, 1 - (1 if c == code else -1) * row[c]) ** 2
    return total


@pytest.mark.parametrize(
    ("row_losses", "expected"), [(cross_entropy, cross_entropies), (squared_hinge, squared_hinges)]
)
def test_loss_is_the_rows_mean_plus_the_penalty_of_the_weights_alone(row_losses, expected):
    features, codes = problem()
    weights, intercept = draw()[0], np.array([3.0, -1.0, 0.5])
    mean = expected(0.1 * features @ weights.T + intercept, codes) / 120
    found = objective(features, codes, weights, intercept, 0.1, 0.2, row_losses, 1000)
    assert found[0] == pytest.approx(mean + 0.2 / 2 * (weights**2).sum(), rel=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize(
    ("row_losses", "step", "weights_of_steps", "tolerance"),
    [
        # The loss is smooth: a five-point stencil errs by h^4, rounding by 1e-16 / h.
        (cross_entropy, 1e-3, {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}, 1e-9),
        # Within a piece the loss is quadratic: a central difference is exact but for rounding, of
        # about 1e-16 x loss / step, and no margin is within the step of 1, where the pieces meet.
        (squared_hinge, 1e-6, {-1: -1 / 2, 1: 1 / 2}, 1e-7),
    ],
)
def test_gradient_is_the_derivative_of_the_loss(row_losses, step, weights_of_steps, tolerance, l2):
    features, codes = problem()
    weights, intercept = draw()
    signs = np.where(np.arange(3) == codes[:, None], 1, -1)
    rng = np.random.default_rng(2)

    def at(t):
        moved = weights + t * d_weights, intercept + t * d_intercept
        scores = 0.1 * features @ moved[0].T + moved[1]
        return objective(features, codes, *moved, 0.1, l2, row_losses, 1000), signs * scores < 1

    for _ in range(5):
        d_weights, d_intercept = rng.standard_normal((3, 12)), rng.standard_normal(3)
        (_, g_weights, g_intercept), here = at(0)
        slope = 0.0
        for steps, weight in weights_of_steps.items():
            (loss, *_), pieces = at(steps * step)
            slope += weight * loss / step
            if row_losses is squared_hinge:
                assert np.array_equal(pieces, here), "the step crosses a kink: draw other inputs"
        expected = np.vdot(g_weights, d_weights) + np.vdot(g_intercept, d_intercept)
        assert slope == pytest.approx(expected, rel=tolerance, abs=tolerance / 10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_blocked_is_unblocked(dtype, tolerance):
    features, codes = problem(dtype=dtype)
    arguments = features, codes, draw()[0], np.ones(3), 0.1, 0.01, cross_entropy
    whole = objective(*arguments)
    for block_bytes in (1, 1000, 7000):
        for part, reference in zip(objective(*arguments, block_bytes), whole, strict=True):
            np.testing.assert_allclose(part, reference, rtol=tolerance, atol=tolerance)


def test_logits_in_the_thousands_do_not_overflow():
    weights = np.full((3, 12), 1e4) * [[1], [2], [3]]
    for found in objective(*problem(), weights, np.zeros(3), 1.0, 0, cross_entropy):
        assert np.isfinite(found).all()
