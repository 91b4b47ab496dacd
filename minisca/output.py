"""What `transform` gives out: features (n, m, h', w'), or with `flat` rows (n, m * h' * w').

A row has the features of one image, map after map, each map row by row. Rows may be those of a data
frame, which is asked for as scikit-learn has it, and made without it.
"""

import math
import sys
from importlib import import_module
from typing import Any, Self

import numpy as np

from minisca.estimator import Estimator
from minisca.training.scikit_learn import check_callbacks
from minisca.types import Array, Images
from minisca.validation import check_choice, check_flag

#: What `set_output` takes.
CONTAINERS = ("default", "pandas")


class FeatureEstimator(Estimator):
    """An estimator with `flat` that makes pooled feature maps of images.

    A subclass defines `fit`, `transform`, and `_features_shape()`: (m, h', w') of an image's
    features, once it is fitted.
    """

    _estimator_type = "transformer"

    def fit_transform(self, X: Images, y: object = None, **fit_options: Any) -> Any:
        """`fit(X, y, **fit_options)`, then `transform(X)`."""
        return self.fit(X, y, **fit_options).transform(X)

    def get_feature_names_out(self, input_features: object = None) -> Array:
        """Names of an image's features, flattened: "map0_row0_column0", "map0_row0_column1" ...

        Returns an array of str, (m * h' * w',): the columns that `transform` gives with `flat`, and
        those that a classifier sees in any case. All count from 0; rows and columns are those of
        the pooled map. input_features is ignored. Raises NotFittedError before `fit`.
        """
        return feature_names(self._features_shape())

    def to_torch(self) -> Any:
        """A `torch.nn.Module` that makes the features `transform` makes; a stack's is Sequential.

        It takes tensors (n, c, h, w) of the layer's dtype, images of any size, on any device that
        it was moved to. Filters and biases, times `encoding_bias`, are copies, and parameters that
        may be trained. Raises NotFittedError before `fit`, ImportError where PyTorch is missing.
        """
        return import_module("minisca.torch_module").module_of(self)

    def set_output(self, *, transform: str | None = None) -> Self:
        """What `transform` and `fit_transform` return from now on; returns self.

        transform: "default" for arrays; "pandas" for data frames, whose columns are those of
        `get_feature_names_out`; None for no change. Frames take `flat`. A given `out` is returned
        as it is. Copies and scikit-learn's `clone` keep this, files do not. Where it was never
        called, `sklearn.set_config(transform_output=...)` counts for rows. Raises ValueError for
        another container, ImportError where pandas is missing.
        """
        if transform is not None:
            if check_choice("transform", transform, CONTAINERS) != "default":
                import_module(transform)
            self._sklearn_output_config = {"transform": transform}  # `clone` copies it by this name
        return self

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Have scikit-learn's callbacks (1.9 and later) told of `fit`: of epochs, or of layers.

        Each has the methods of `sklearn.callback.FitCallback`; without any, those of before are
        gone. Copies and `clone` keep them, files do not. Returns self. Raises TypeError for what is
        no such callback, ImportError where scikit-learn is older or missing.
        """
        check_callbacks(callbacks)
        vars(self).pop("_skl_callbacks", None)
        if callbacks:
            self._skl_callbacks = list(callbacks)  # by this name `clone` copies them
        return self

    def _container(self):
        """What `transform` is to return, of `CONTAINERS`; ValueError where that cannot be."""
        flat = check_flag("flat", self.flat)
        chosen = getattr(self, "_sklearn_output_config", {}).get("transform")
        if chosen == "pandas" and not flat:
            raise ValueError("flat is False; with set_output(transform='pandas') it must be True")
        if chosen is None and flat and "sklearn" in sys.modules:
            chosen = sys.modules["sklearn"].get_config()["transform_output"]
            check_choice("scikit-learn's transform_output", chosen, CONTAINERS)
        return chosen or "default"

    def _contained(self, features, shape, out=None, to="host"):
        """Features, (m, h', w') an image, as what `transform` returns where no `out` was given."""
        if out is not None:
            return out  # which may be a tensor, of which `features` is a view
        if to != "host" or self._container() == "default":
            return features
        return import_module("pandas").DataFrame(features, columns=feature_names(shape))


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
        self.dtype = rows.dtype

    def __setitem__(self, where, features):
        """where: a slice of images, or one of images and one of maps."""
        images, maps = where if isinstance(where, tuple) else (where, slice(0, self.shape[1]))
        size = math.prod(self.shape[2:])
        columns = slice(maps.start * size, maps.stop * size)
        self._rows[images, columns] = features.reshape(len(features), -1)
