"""Stack: layers trained greedily, one on the pooled features of the other (paper section 2.2)."""

from pathlib import Path

import numpy as np

from minisca.autoencoder import ENCODE_BATCH, SparseConvAutoencoder
from minisca.checkpoint import (
    CheckpointError,
    add_prefix,
    load_checkpoint,
    save_checkpoint,
    take_prefix,
)
from minisca.estimator import Estimator
from minisca.validation import check_fitted, check_images, check_integer, read_batch


class Stack(Estimator):
    """Any number of `SparseConvAutoencoder`s, each trained with the ones below it fixed.

    Parameters
    ----------
    layers : sequence of SparseConvAutoencoder
        What each layer is to be, lowest first. They are copied, not fitted themselves.

    Attributes
    ----------
    layers_ : list of SparseConvAutoencoder, fitted
    """

    _estimator_type = "transformer"

    def __init__(self, layers):
        self.layers = layers

    def fit(self, X, y=None, checkpoint=None, resume=False):
        """Train layer after layer on images X (n, c, h, w); y is ignored. Returns self.

        The images are encoded once by each layer, as the next layer's training set. With
        `checkpoint`, a directory, every layer saves its state there after every epoch
        ("layer1.npz" and so on); with `resume` as well, training goes on from what lies there.

        Raises as `SparseConvAutoencoder.fit` does, and ValueError if there are no layers.
        """
        self._fit(X, checkpoint, resume, encode_last=False)
        return self

    def fit_transform(self, X, y=None, checkpoint=None, resume=False):
        """`fit(X)`, and the last layer's features of X, encoded once: (n, m, h', w')."""
        return self._fit(X, checkpoint, resume, encode_last=True)

    def _fit(self, X, checkpoint, resume, encode_last):
        features = check_images(X)
        fitted = []
        for number, layer in enumerate(self._check_layers(), start=1):
            path = None if checkpoint is None else Path(checkpoint) / f"layer{number}.npz"
            layer = type(layer)(**layer.get_params(deep=False))
            fitted.append(layer.fit(features, checkpoint=path, resume=resume))
            if encode_last or number < len(self.layers):
                features = layer.transform(features)
        self.layers_ = fitted
        return features

    def transform(self, X, depth=None, out=None):
        """Features of images X after `depth` layers, by default all: (n, m, h', w').

        A chunk of images passes through all layers before the next, so that only the last layer's
        features are ever held whole. `out`, an array of their shape (float16 or a memory map,
        say), is filled and returned where it is given. Raises NotFittedError before `fit`,
        ValueError or TypeError for images unlike those of `fit`.
        """
        check_fitted(self, "layers_")
        layers = self.layers_
        if depth is not None:
            depth = check_integer("depth", depth)
            if depth > len(layers):
                raise ValueError(f"depth is {depth}; it must be at most {len(layers)}, the layers")
            layers = layers[:depth]
        first = layers[0]
        X = check_images(X, channels=first.n_channels_, size=first.image_size_)
        with first._bar(total=len(X), unit="image", desc="encoding", delay=2) as bar:
            for start in range(0, len(X), ENCODE_BATCH):
                rows = slice(start, min(start + ENCODE_BATCH, len(X)))
                features = read_batch(X, rows, first.dtype)
                for layer in layers:
                    features = layer.transform(features)
                if out is None:
                    out = np.empty((len(X), *features.shape[1:]), features.dtype)
                elif tuple(out.shape) != (len(X), *features.shape[1:]):
                    raise ValueError(
                        f"out has shape {tuple(out.shape)}; it must be "
                        f"{(len(X), *features.shape[1:])}"
                    )
                out[rows] = features
                bar.update(rows.stop - rows.start)
        return out

    def save(self, path):
        """Write all layers to one file, atomically. Raises NotFittedError before `fit`."""
        check_fitted(self, "layers_")
        arrays, settings = {}, {"layers": []}
        for number, layer in enumerate(self.layers_, start=1):
            layer_arrays, layer_settings = layer.state()
            arrays.update(add_prefix(f"layer{number}", layer_arrays))
            settings["layers"].append(layer_settings)
        save_checkpoint(path, type(self).__name__, arrays, settings)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. Raises CheckpointError for any other or a damaged file."""
        arrays, settings = load_checkpoint(path, cls.__name__)
        described = settings.get("layers")
        if not isinstance(described, list) or not described:
            raise CheckpointError(f"{path} lists no layers; it must be a saved Stack")
        layers = [
            SparseConvAutoencoder.from_state(path, take_prefix(f"layer{number}", arrays), layer)
            for number, layer in enumerate(described, start=1)
        ]
        stack = cls([SparseConvAutoencoder(**layer.get_params(deep=False)) for layer in layers])
        stack.layers_ = layers
        return stack

    def _check_layers(self):
        layers = list(self.layers)
        if not layers:
            raise ValueError("layers is empty; it must hold at least one SparseConvAutoencoder")
        for index, layer in enumerate(layers):
            if not isinstance(layer, SparseConvAutoencoder):
                raise TypeError(f"layers[{index}] is {layer!r}; it must be a SparseConvAutoencoder")
        return layers
