"""What a classifier sees: features scaled, several layers' side by side, without a copy of them."""

import math

import numpy as np
from features.scaling import FeatureScaling

from minisca.classifiers.feature_blocks import FeatureBlocks, widen_halves


class Seen:
    """Turns layers' features into a classifier's: scaled in place, side by side, a row a label.

    scaling: one of `SCALINGS`. views: so many images make a row, one after the other.
    """

    def __init__(self, scaling="none", views=1):
        self.scaling = scaling
        self.views = views

    def fit_transform(self, outputs):
        """Learn from training images' features, arrays (n, m, h, w) of each layer; their rows."""
        self.scalings_ = [FeatureScaling(self.scaling).fit(features) for features in outputs]
        self.factors_ = None
        return self.transform(outputs)

    def transform(self, outputs):
        """The rows of other images, done as the training images had it."""
        for scaling, features in zip(self.scalings_, outputs, strict=True):
            scaling.apply_(features)
        if len(outputs) > 1:
            self.factors_ = self.factors_ or unit_variance(outputs)
            return JoinedFeatures(list(outputs), self.factors_)
        (features,) = outputs
        if self.views == 1:
            return features
        n, size = features.shape[0] // self.views, math.prod(features.shape[1:])
        return features.reshape((n, self.views * size))


def unit_variance(parts):
    """Factors that give every part unit variance, so that none drowns the others.

    The mean of every feature's variance about its own mean, which is all that a classifier with
    intercepts sees: features of a second layer are mostly a constant.
    """
    moments = [FeatureBlocks(part).moments() for part in parts]
    variances = [square - np.mean(mean**2) for mean, square in moments]
    return [1 / np.sqrt(variance) if variance > 0 else 1.0 for variance in variances]


class JoinedFeatures:
    """Looks like a float32 array (n, features), of which slices of rows are put together when read.

    parts: arrays (n, ...). factors: what each is multiplied by.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, parts, factors):
        self.parts = parts
        self.factors = factors
        self.shape = (len(parts[0]), sum(int(np.prod(part.shape[1:])) for part in parts))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return JoinedFeatures([part[rows] for part in self.parts], self.factors)

    def __array__(self, dtype=None, copy=None):
        joined = np.empty(self.shape, self.dtype if dtype is None else dtype)
        first = 0
        for part, factor in zip(self.parts, self.factors, strict=True):
            flat = np.asarray(part).reshape(len(part), -1)
            columns = joined[:, first : first + flat.shape[1]]
            if flat.dtype == np.float16 and joined.dtype == np.float32:
                widen_halves(flat, columns)
            else:
                columns[:] = flat
            columns *= joined.dtype.type(factor)
            first += flat.shape[1]
        return joined
