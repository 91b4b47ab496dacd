"""What the tests of the classifiers share: a problem, and its objective."""

import numpy as np

from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.problem import Problem, loss_and_gradient


def problem(n=120, n_features=12, n_classes=3, seed=0, dtype=np.float64):
    """Features of a few overlapping classes, far from unit scale, and their labels from 0."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = rng.standard_normal((n_classes, n_features))
    features = 7 * (rng.standard_normal((n, n_features)) * 1.5 + centres[labels] + 0.5)
    return features.astype(dtype), labels


def objective(features, codes, weights, intercept, scale, l2, row_losses, block_bytes=None):
    """Loss and gradients of weights and intercept, of the features in blocks."""
    blocks = FeatureBlocks(features, block_bytes=block_bytes)
    mean = np.zeros(blocks.n_features)  # nothing that the loss depends on
    described = Problem(blocks, codes, len(intercept), mean, scale, l2, row_losses)
    return loss_and_gradient(described, weights, intercept)
