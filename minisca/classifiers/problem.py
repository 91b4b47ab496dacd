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
