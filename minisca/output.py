"""What `transform` gives out: features (n, m, h', w'), or with `flat` rows (n, m * h' * w').

A row has the features of one image, map after map, each map row by row.
"""

import math

import numpy as np

from minisca.estimator import Estimator


class FeatureEstimator(Estimator):
    """An estimator with `flat` that makes pooled feature maps of images.

    A subclass defines `_features_shape()`: (m, h', w') of an image's features, once it is fitted.
    """

    _estimator_type = "transformer"

    def get_feature_names_out(self, input_features=None):
        """Names of an image's features, flattened: "map0_row0_column0", "map0_row0_column1" ...

        Returns an array of str, (m * h' * w',): the columns that `transform` gives with `flat`, and
        those that a classifier sees in any case. All count from 0; rows and columns are those of
        the pooled map. input_features is ignored. Raises NotFittedError before `fit`.
        """
        return feature_names(self._features_shape())


def feature_names(shape):
    """The names of features of this shape (m, h', w'), flattened: an array of str objects."""
    return np.array([f"map{i}_row{j}_column{k}" for i, j, k in np.ndindex(*shape)], object)


def flat_shape(shape):
    """(n, m * h' * w') of features (n, m, h', w')."""
    return shape[0], math.prod(shape[1:])


class FlatRows:
    """Looks like features (n, m, h', w') to what fills them, and fills rows (n, m * h' * w')."""

    def __init__(self, rows, shape):
        self._rows = rows
        self.shape = shape

    def __setitem__(self, where, features):
        """where: a slice of images, or one of images and one of maps."""
        images, maps = where if isinstance(where, tuple) else (where, slice(0, self.shape[1]))
        size = math.prod(self.shape[2:])
        columns = slice(maps.start * size, maps.stop * size)
        self._rows[images, columns] = features.reshape(len(features), -1)
