"""Features like those of a trained layer, and their labels, for the classifiers to be fitted to."""

import numpy as np

from minisca.chunks import slices

N_CLASSES = 10


def make_labels(rows):
    return np.random.default_rng(0).integers(0, N_CLASSES, rows)


def make_features(features):
    """Fill features (rows, f): not negative, half of them zero, tied to each other.

    ReLU of a random mixture of 40 hidden causes, whose means depend on the class, and of noise.
    """
    rows, n_features = features.shape
    random = np.random.default_rng(1)
    causes = 40
    means = 0.6 * random.standard_normal((N_CLASSES, causes), np.float32)
    mixture = random.standard_normal((causes, n_features), np.float32) / np.sqrt(np.float32(causes))
    noise = random.standard_normal(n_features + 100_000, np.float32)
    labels = make_labels(rows)
    for part in slices(rows, 500):
        own = labels[part]
        hidden = means[own] + random.standard_normal((len(own), causes), np.float32)
        block = hidden @ mixture
        for row, start in zip(block, random.integers(0, 100_000, len(own)), strict=True):
            row += 0.3 * noise[start : start + n_features]
        np.maximum(block, 0, out=block)
        features[part] = block
