"""The features of several layers as one array, side by side, without a copy of them."""

import numpy as np

from minisca.classifiers.feature_blocks import FeatureBlocks, widen_halves


class JoinedFeatures:
    """Looks like a float32 array (n, features), of which slices of rows are put together when read.

    parts: arrays (n, ...). scales: what each is multiplied by.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, parts, scales):
        self.parts = parts
        self.factors = scales
        widths = [int(np.prod(part.shape[1:])) for part in parts]
        self.shape = (len(parts[0]), sum(widths))

    @staticmethod
    def scales(parts):
        """Factors that give every part unit variance, so that none drowns the others.

        The mean of every feature's variance about its own mean, which is all that a classifier with
        intercepts sees: features of a second layer are mostly a constant.
        """
        moments = [FeatureBlocks(part).moments() for part in parts]
        variances = [square - np.mean(mean**2) for mean, square in moments]
        return [1 / np.sqrt(variance) if variance > 0 else 1.0 for variance in variances]

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
