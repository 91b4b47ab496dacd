"""Ways to scale pooled maps before the classifier, or the layer above, sees them.

Every one is learned from training features alone. The classifier divides by one number for all
features anyhow, so that only what differs between features matters here.
"""

import numpy as np

from minisca.chunks import slices

#: "none": as they are. "per-map": every map by its root mean square. "root", "square": the square
#: root or the square of every feature (none is negative). "per-image": every image's features by
#: their length.
SCALINGS = ("none", "per-map", "root", "square", "per-image")


class FeatureScaling:
    """Scales features (n, m, h, w) in place, by what `fit` saw."""

    def __init__(self, kind):
        if kind not in SCALINGS:
            raise ValueError(
                f"feature_scaling is {kind!r}; it must be one of {', '.join(SCALINGS)}"
            )
        self.kind = kind

    def fit(self, features):
        """Learn from training features; returns self."""
        if self.kind == "per-map":
            total = np.zeros(features.shape[1])
            for part in _parts(features):
                total += np.square(part, dtype=np.float32).sum(axis=(0, 2, 3), dtype=np.float64)
            mean = total / (len(features) * np.prod(features.shape[2:]))
            factors = np.divide(1, np.sqrt(mean), out=np.zeros_like(mean), where=mean > 0)
            self.factors_ = factors.astype(np.float32)[:, None, None]
        return self

    def apply_(self, features):
        """Scale the features in place; returns them."""
        if self.kind == "none":  # they may lie on a device
            return features
        for part in _parts(features):
            if self.kind == "per-map":
                part *= self.factors_
            elif self.kind == "root":
                np.sqrt(part, out=part)
            elif self.kind == "square":
                np.square(part, out=part)
            elif self.kind == "per-image":
                lengths = np.square(part, dtype=np.float32).mean(axis=(1, 2, 3), keepdims=True)
                part /= np.sqrt(np.where(lengths > 0, lengths, 1))
        return features


def _parts(features):
    return (features[rows] for rows in slices(len(features), 1000))
