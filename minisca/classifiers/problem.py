"""What a penalised linear classifier minimises, wherever its features are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Problem(NamedTuple):
    """What is to be minimised: the mean over rows of their losses, and a penalty on the weights.

    The weights (n_classes, n_features), float64, are those of the features times `scale`.
    """

    blocks: Any  # the features: FeatureBlocks or PlacedFeatures
    codes: np.ndarray  # (n,): the class of each row, from 0
    n_classes: int
    mean: np.ndarray  # (n_features,): of the features as they are
    scale: float
    l2: float  # l2 / 2 times the sum of the squared weights is the penalty
    row_losses: Callable  # (scores, codes) -> the sum of some rows' losses, its gradient by scores


def make_problem(features, codes, n_classes, l2, row_losses):
    """The Problem of features that have `moments`. Raises ValueError for those without a scale."""
    mean, mean_square = features.moments()
    if not np.isfinite(mean_square):
        raise ValueError("X has values too large to square; divide the features by a constant")
    scale = 1 / np.sqrt(mean_square) if mean_square > 0 else 1.0
    return Problem(features, codes, n_classes, mean, scale, l2, row_losses)


def centring(problem):
    """How L-BFGS sees the features: (mean, stretch, constant).

    The mean (n_features,) of scaled features, which are taken off, the number that gives them unit
    variance; and the intercepts are the weights of `constant` in place of 1. No minimum changes,
    for nothing weighs on intercepts, but the way there: pooled maps are never negative, and what
    all of them have in common would hide how they differ; of thousands of features, each moves the
    scores little for itself, yet together so much that an intercept of 1 lags behind.
    """
    mean = problem.mean * problem.scale
    stretch = 1 / np.sqrt(max(1 - np.mean(mean**2), 1e-6))
    return mean, stretch, problem.blocks.n_features**0.25


def smallest_decrease(problem):
    """What is lost to rounding in a mean of losses of the features' dtype; less is no progress."""
    return 1e-9 if problem.blocks.dtype == np.float32 else 1e-14


def loss_and_gradient(problem, weights, intercept):
    """A Problem's objective, d_weights and d_intercept in one pass over the features.

    All float64, summed in an order that is always the same.
    """
    from minisca.classifiers.kernels.products import pack_weights

    blocks, codes, _, _, scale, l2, row_losses = problem
    # The features stay as they are: scaling the weights gives the same products.
    packed = pack_weights((scale * weights).astype(blocks.dtype))
    loss = 0.0
    d_weights = np.zeros(weights.shape)
    d_intercept = np.zeros(len(intercept))
    for rows, block in blocks.as_stored():
        found = of_block(block, codes[rows], packed, intercept, row_losses, blocks.strips)
        loss += found[0]
        d_weights += found[1]
        d_intercept += found[2]
    loss = loss / blocks.n + l2 / 2 * np.vdot(weights, weights)
    d_weights *= scale / blocks.n
    d_weights += l2 * weights
    return float(loss), d_weights, d_intercept / blocks.n


def of_block(block, codes, packed, intercept, row_losses, strips):
    """The sum of a block's losses, d_weights (n_classes, f) of its dtype, and d_intercept.

    packed: the weights, see `minisca.classifiers.kernels.products`. intercept (n_classes,): float64
    for scores in it.
    """
    from minisca.classifiers.kernels.products import accumulate_, project

    scores = project(block, packed, len(intercept), strips) + intercept
    loss, residual = row_losses(scores, codes)
    d_weights = np.zeros((len(intercept), block.shape[1]), strips.dtype)
    accumulate_(d_weights, residual.astype(strips.dtype), strips)
    return loss, d_weights, residual.sum(axis=0)
