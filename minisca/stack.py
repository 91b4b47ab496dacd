"""Stack: layers trained greedily, one on the pooled features of the other (paper section 2.2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minisca.autoencoder import SparseConvAutoencoder
from minisca.backends import get_backend
from minisca.encoding import ENCODE_BATCH
from minisca.estimator import Estimator
from minisca.files.checkpoint import (
    CheckpointError,
    add_prefix,
    load_checkpoint,
    save_checkpoint,
    take_prefix,
)
from minisca.validation import check_fitted, check_images, check_integer, check_out, read_batch


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
        ("layer1.npz" and so on); with `resume` as well, training goes on from what lies there. The
        files of the layers above one that starts afresh are removed: they are of another run.

        Raises as `SparseConvAutoencoder.fit` does, all bad parameters before anything is trained,
        and ValueError if there are no layers.
        """
        self._fit(X, checkpoint, resume, encode_last=False)
        return self

    def fit_transform(self, X, y=None, checkpoint=None, resume=False):
        """`fit(X)`, and the last layer's features of X, encoded once: (n, m, h', w')."""
        return self._fit(X, checkpoint, resume, encode_last=True)

    def _fit(self, X, checkpoint, resume, encode_last):
        features = check_images(X)
        layers = self._check_layers()
        paths = [None] * len(layers)
        if checkpoint is not None:
            paths = [Path(checkpoint) / f"layer{n}.npz" for n in range(1, len(layers) + 1)]
        fitted = []
        for index, (layer, path) in enumerate(zip(layers, paths, strict=True)):
            if path is not None and not (resume and path.exists()):
                for above in paths[index + 1 :]:
                    above.unlink(missing_ok=True)
            layer = type(layer)(**layer.get_params(deep=False))
            fitted.append(layer.fit(features, checkpoint=path, resume=resume))
            if encode_last or index + 1 < len(layers):
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
        n = X.shape[0]
        with first._bar(total=n, unit="image", desc="encoding", delay=2) as bar:
            for start in range(0, n, ENCODE_BATCH):
                rows = slice(start, min(start + ENCODE_BATCH, n))
                features = read_batch(X, rows, first.dtype)
                for layer in layers:
                    features = layer.transform(features)
                shape = (n, *features.shape[1:])
                out = np.empty(shape, features.dtype) if out is None else check_out(out, shape)
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
        layers = []
        for number, settings in enumerate(described, start=1):
            part = f"layer {number} of {path}"
            if not isinstance(settings, dict):
                raise CheckpointError(f"{part} is {settings!r}; it must be a saved layer")
            state = take_prefix(f"layer{number}", arrays), settings
            layers.append(SparseConvAutoencoder.from_state(part, *state))
        stack = cls([SparseConvAutoencoder(**layer.get_params(deep=False)) for layer in layers])
        stack.layers_ = layers
        return stack

    def _check_layers(self):
        if not isinstance(self.layers, Sequence):
            raise TypeError(f"layers is {self.layers!r}; it must be a list of layers")
        if not self.layers:
            raise ValueError("layers is empty; it must hold at least one SparseConvAutoencoder")
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, SparseConvAutoencoder):
                raise TypeError(f"layers[{index}] is {layer!r}; it must be a SparseConvAutoencoder")
            try:
                layer._check_parameters()
            except (TypeError, ValueError) as error:
                raise type(error)(f"layers[{index}]: {error}") from error
            get_backend(layer.backend)  # it may not run here
        return self.layers
