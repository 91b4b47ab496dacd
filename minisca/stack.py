"""Stack: layers trained greedily, one on the pooled features of the other (paper section 2.2)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

from minisca.autoencoder import SparseConvAutoencoder
from minisca.backends import get_backend
from minisca.chunks import slices
from minisca.communicators import on_images
from minisca.encoding import (
    ENCODE_BATCH,
    as_maps,
    features_shape,
    images_at_a_time,
)
from minisca.files.checkpoint import CheckpointError, fitting
from minisca.keeping import Filling, make_out
from minisca.output import FeatureEstimator, flat_shape
from minisca.pictures import HTML
from minisca.progress import progress
from minisca.training.arrivals import images_for, read_there
from minisca.training.greedy import fit
from minisca.types import Array, Callback, Images, PathLike
from minisca.validation import (
    check_choice,
    check_fitted,
    check_flag,
    check_integer,
)

#: Which layers of a stack are centred.
CENTRES = ("given", "above-first")


class Stack(HTML, FeatureEstimator):
    """Any number of `SparseConvAutoencoder`s, each trained with the ones below it fixed.

    Parameters
    ----------
    layers : sequence of SparseConvAutoencoder
        What each layer is to be, lowest first. They are copied, not fitted themselves.
    centre : "given" (default) or "above-first"
        Which layers are centred: those whose own `centre` says so, or all above the first as well.
        Pooled maps are positive nearly everywhere, and that mean is most of what they learn from.
    flat : bool, default False
        `transform` returns a row an image, (n, m * h' * w'), as scikit-learn's classifiers take it.
        The layers themselves hand maps on, and must not be flat.

    Attributes
    ----------
    layers_ : list of SparseConvAutoencoder
        The fitted layers.

    Examples
    --------
    >>> stack = Stack([SparseConvAutoencoder(64), SparseConvAutoencoder(512)]).fit(images)
    >>> features = stack.transform(images)
    """

    _main = "layers"
    layers_: list[SparseConvAutoencoder]

    def __init__(
        self,
        layers: Sequence[SparseConvAutoencoder],
        centre: str = "given",
        flat: bool = False,
    ) -> None:
        self._store(locals())

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError, naming it, for bad layers, `centre` or `flat`."""
        check_choice("centre", self.centre, CENTRES)
        self._container()
        self._check_layers()

    def fit(
        self,
        X: Images,
        y: object = None,
        checkpoint: PathLike | None = None,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
        validation_images: Images | None = None,
        scratch: PathLike | None = None,
        keep_scratch: bool = False,
        communicator: Any = None,
        features_dtype: str | None = None,
    ) -> Self:
        """Train layer after layer, each on the features of the one below.

        Parameters
        ----------
        X : array (n, c, h, w) of any real dtype
            They are encoded once by each layer, as the next layer's training set. It stays on the
            device that both share, if there is room; else a warning says where it is.
        y : ignored
        checkpoint : path of a folder, or None
            Where every layer saves its state after every epoch ("layer1.npz" and so on).
        resume : bool, default False
            Go on from what lies there. The files of the layers above one that starts afresh are
            removed: they are of another run.
        callbacks, validation_images : as of `SparseConvAutoencoder.fit`, for every layer in turn
            A layer is judged by the validation images' features of the one below.
        scratch : path of a folder, or None
            Where features lie, in files that are mapped: they may be larger than memory.
        keep_scratch : bool, default False
            Leave these files, and use what is there of the same images and layers; else they are
            gone in the end.
        communicator : as of `SparseConvAutoencoder.fit`
        features_dtype : "float16", "float32", "float64" or None (default)
            What the features between layers are stored in: None for each layer's own dtype.
            "float16" takes half the room of float32. To resume, it must be the same.

        Returns
        -------
        self

        Raises
        ------
        As `SparseConvAutoencoder.fit`; of all layers before anything is trained.
        """
        told = checkpoint, resume, callbacks, validation_images
        self._fit(X, False, *told, scratch, keep_scratch, communicator, features_dtype)
        return self

    def fit_transform(self, X: Images, y: object = None, **fit_options: Any) -> Any:
        """`fit(X, **fit_options)`, and the last layer's features, encoded once: as `transform`."""
        features = self._fit(X, True, **fit_options)
        rows = features.reshape(flat_shape(features.shape)) if self.flat else features
        return self._contained(rows, features.shape[1:])

    def _fit(self, X, encode_last, *options, **named):
        self.layers_, features = fit(self, X, encode_last, *options, **named)
        return features

    def transform(
        self,
        X: Images,
        depth: int | None = None,
        out: Any = None,
        to: str = "host",
        dtype: str | None = None,
        communicator: Any = None,
    ) -> Any:
        """Features of images after some of the layers.

        A chunk of images passes through all layers before the next, so that only the last layer's
        features are ever held whole.

        Parameters
        ----------
        X : array (n, c, h, w) of any real dtype
        depth : int or None
            How many layers; None for all.
        out, to, dtype : as of `SparseConvAutoencoder.transform`
            For `to="device"` the device is that of the last of those layers.
        communicator : as of `SparseConvAutoencoder.transform`

        Returns
        -------
        array (n, m, h', w') of the last of those layers' features, with `flat` (n, m * h' * w');
        or `out`

        Raises
        ------
        NotFittedError before `fit`; ValueError or TypeError for images unlike those of it, or
        another depth or `out` than can be.
        """
        check_fitted(self, "layers_")
        self._container()
        layers = self.layers_
        how = {"depth": depth, "dtype": dtype}
        if depth is not None:
            depth = check_integer("depth", depth)
            if depth > len(layers):
                raise ValueError(f"depth is {depth}; it must be at most {len(layers)}, the layers")
            layers = layers[:depth]
        if communicator is not None:
            return on_images.transform(communicator, self, layers, X, out, to, **how)
        first = layers[0]
        backends = [get_backend(layer.backend) for layer in layers]
        X = images_for(backends[0], X, channels=first.n_channels_, size=first.image_size_)
        n, results, size = X.shape[0], [], X.shape[2:]
        for layer in layers:
            results.append(features_shape(layer.state_, layer, size))
            size = results[-1][1:]
        length = images_at_a_time(ENCODE_BATCH, first.dtype, X.shape[1:], *results)
        shape, given, last = (n, *results[-1]), out, backends[-1]
        asked = last, flat_shape(shape) if self.flat else shape, layers[-1].dtype
        out = make_out(*asked, out, to, dtype)
        bar = progress(first.verbose, total=n, unit=" images", desc="encoding", delay=2)
        with bar, Filling(last, as_maps(last, out, shape)) as filling:
            for rows in slices(n, length):
                features = read_there(X, rows, first.dtype)
                for layer, own, above in zip(layers, backends, [*backends[1:], last], strict=True):
                    features = layer.transform(features, to="device" if own is above else "host")
                filling.put(rows, features)
                bar.update(rows.stop - rows.start)
        return self._contained(out, results[-1], given, to)

    def to_file(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """As `Estimator.to_file`."""
        arrays: dict[str, Array] = {}
        settings: dict[str, Any] = {"layers": [], "centre": self.centre, "flat": self.flat}
        for number, layer in enumerate(self.layers_, start=1):
            layer._check_as_fitted()
            layer_arrays, layer_settings = layer.to_file()
            arrays |= {f"layer{number}/{name}": array for name, array in layer_arrays.items()}
            settings["layers"].append(layer_settings)
        return arrays, settings

    @classmethod
    def from_file(cls, path: PathLike, arrays: dict[str, Array], settings: dict[str, Any]) -> Self:
        """As `Estimator.from_file`."""
        described = settings.get("layers")
        if not isinstance(described, list) or not described:
            raise CheckpointError(f"{path} lists no layers; it must be a saved Stack")
        with fitting(path):  # files from before there were these do not have them
            centre = check_choice("centre", settings.get("centre", "given"), CENTRES)
            flat = check_flag("flat", settings.get("flat", False))
        layers = []
        for number, own_settings in enumerate(described, start=1):
            part = f"layer {number} of {path}"
            if not isinstance(own_settings, dict):
                raise CheckpointError(f"{part} is {own_settings!r}; it must be a saved layer")
            start = f"layer{number}/"
            own = {name[len(start) :]: arrays[name] for name in arrays if name.startswith(start)}
            layers.append(SparseConvAutoencoder.from_file(part, own, own_settings))
            with fitting(part):
                _check_not_flat(layers[-1])
        above = f"layer{len(layers) + 1}/"
        if any(name.startswith(above) for name in arrays):
            raise CheckpointError(f"{path} has arrays {above}... of a layer that it does not list")
        _check_fit_together(path, layers)
        for number, layer in enumerate(layers[1:], start=2):
            if centre == "above-first" and not layer.centre:
                must = "those above the first must have been"
                found = f"layer {number} of {path} was not centred in training"
                raise CheckpointError(f"{found}; with centre='above-first' {must}")
        copies = [SparseConvAutoencoder(**layer.get_params(deep=False)) for layer in layers]
        stack = cls(copies, centre, flat)
        stack.layers_ = layers
        return stack

    def _features_shape(self):
        check_fitted(self, "layers_")
        return self.layers_[-1]._features_shape()

    def _check_layers(self):
        if not isinstance(self.layers, Sequence):
            raise TypeError(f"layers is {self.layers!r}; it must be a list of layers")
        if not self.layers:
            raise ValueError("layers is empty; it must hold at least one SparseConvAutoencoder")
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, SparseConvAutoencoder):
                raise TypeError(f"layers[{index}] is {layer!r}; it must be a SparseConvAutoencoder")
            try:
                layer.check_parameters()
                _check_not_flat(layer)
            except (TypeError, ValueError) as error:
                raise type(error)(f"layers[{index}]: {error}") from error
            get_backend(layer.backend)  # it may not run here


def _check_not_flat(layer):
    if layer.flat:
        must = "it must be False in a layer of a Stack, which has a `flat` of its own"
        raise ValueError(f"flat is {layer.flat!r}; {must}")


def _check_fit_together(path, layers):
    """Raise CheckpointError unless each layer is for what the one below it makes."""
    for number, (below, above) in enumerate(pairwise(layers), start=1):
        made = features_shape(below.state_, below, below.image_size_)
        wanted = (above.n_channels_, *above.image_size_)
        if made != wanted:
            raise CheckpointError(
                f"layer {number} of {path} makes features {made}; layer {number + 1} must be for "
                f"those, not for {wanted}"
            )
