"""What is called besides operations: public methods of estimators, and functions beside them.

`SUBJECTS` has {"Class.method" or "function": Subject}.
"""

import copy
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from minisca import (
    LinearSVM,
    LogisticRegression,
    SoftmaxSGD,
    SparseConvAutoencoder,
    Stack,
    preprocessing,
)
from minisca.baselines import (
    KSparseAutoencoder,
    SupervisedConvNet,
    TriangleKMeans,
    dense_patches,
    draw_patches,
    kmeans,
)

IMAGES = {"c": 2, "h": 7, "w": 6}
#: Sides of what `fitted` has: maps, filter width, features, classes, of the layer above.
SIDES = IMAGES | {"m": 4, "k": 3, "f": 84, "l": 3, "y": 4, "z": 3, "d": 3}
X, FIT_X_Y = {"X": "nchw"}, {"X": "nchw", "y": "n"}
ROWS, ROWS_Y = {"X": "nchw"}, {"X": "nchw", "y": "n"}
LABELS = {"y": "labels"}
NOTHING = MappingProxyType({})


class Subject(NamedTuple):
    """How a method or a function is called."""

    make: Callable | None  # the estimator, of settings; None: a function
    call: str | Callable  # the method's name, or the function
    arrays: dict  # {argument: its axes, letters of SIDES; n is any}
    scalars: Mapping = NOTHING  # {argument: a value that is right}
    settings: Mapping = NOTHING  # {setting of the estimator: a value that is right}
    fitted: Mapping = NOTHING  # {array that fit has set: its axes}; {}: it is not fitted before
    fills: Mapping = NOTHING
    dtypes: Mapping = NOTHING
    sides: Mapping = MappingProxyType(SIDES)
    fits: bool = False  # the method is what sets the arrays


def layer(backend="cpu", **settings):
    defaults = {"n_maps": 4, "filter_width": 3, "pool_width": 3, "pool_stride": 2, "n_epochs": 1}
    defaults |= {"batch_size": 4, "random_state": 0, "backend": backend, "verbose": False}
    return SparseConvAutoencoder(**(defaults | settings))


def stack(backend="cpu", **settings):
    below = layer(backend, pool_width=2)
    return Stack(**({"layers": [below, layer(backend)]} | settings))


def of(kind, takes_backend=False, **defaults):
    def make(backend="cpu", **settings):
        own = {"backend": backend} if takes_backend else {}
        return kind(**(defaults | own | settings))

    return make


SETTINGS = {
    **{"n_maps": 4, "filter_width": 3, "pool_width": 3, "pool_stride": 2, "encoding_bias": 0.5},
    **{"sparsity": "none", "n_active": None, "lifetime": None, "tied": False, "n_epochs": 1},
    **{"batch_size": 3, "learning_rate": 0.1, "warmup_steps": 0},
    **{"schedule": "constant", "momentum": 0.5, "init_scale": 0.1, "random_state": 3},
    **{"dtype": "float32", "verbose": False, "pool_origin": "corner"},
}
_TRAINING = {"n_epochs": 1, "batch_size": 3, "learning_rate": 0.1, "momentum": 0.5}
_TRAINING |= {"random_state": 3, "dtype": "float32"}
_LINEAR = {"l2": 0.1, "max_iter": 2, "tol": 0.1, "verbose": False}
_SOFTMAX = {"n_epochs": 1, "learning_rate": 0.1, "batch_size": 3, "momentum": 0.5}
_SOFTMAX |= {"init_scale": 0.1, "random_state": 3, "verbose": False}
_TRIANGLE = {"n_maps": 4, "patch_width": 3, "stride": 1, "grid": 2, "normalise": True}
_TRIANGLE |= {"contrast_epsilon": 0.1, "whiten": True, "zca_epsilon": 0.1, "standardise": True}
_TRIANGLE |= {"n_patches": 50, "n_iterations": 2, "random_state": 3}
_QUIET = {"verbose": False}
_LAYER = {"encoder_filters_": "mckk", "encoder_bias_": "m", "decoder_bias_": "c"}
_LAYER |= {"decoder_filters_": "mckk"}

#: {class: (how it is made, settings, what is fitted, {method: (arrays, scalars)} that fit,
#: and that need a fitted one)}
_ESTIMATORS = {
    "SparseConvAutoencoder": (
        *(layer, SETTINGS, _LAYER),
        {"fit": (X, {}), "fit_transform": (X, {})},
        {
            **dict.fromkeys(("feature_maps", "winners", "reconstruct", "score", "usage"), (X, {})),
            **dict.fromkeys(("loss_and_gradients", "transform", "partial_fit"), (X, {})),
        },
        {"transform": {"X": "nchw", "out": "nmyz"}},
    ),
    "Stack": (
        *(stack, {"layers": []}, {}),
        {"fit": (X, {}), "fit_transform": (X, {})},
        {"transform": (X, {"depth": 1})},
        {},
    ),
    "LinearSVM": (
        *(of(LinearSVM, max_iter=3, **_QUIET), _LINEAR, {"coef_": "lf", "intercept_": "l"}),
        {"fit": (ROWS_Y, {})},
        {"decision_function": (ROWS, {}), "predict": (ROWS, {}), "score": (ROWS_Y, {})},
        {},
    ),
    "LogisticRegression": (
        *(of(LogisticRegression, max_iter=3, **_QUIET), _LINEAR),
        {"coef_": "lf", "intercept_": "l"},
        {"fit": (ROWS_Y, {})},
        {
            **{"decision_function": (ROWS, {}), "predict": (ROWS, {}), "score": (ROWS_Y, {})},
            "predict_proba": (ROWS, {}),
        },
        {},
    ),
    "SoftmaxSGD": (
        *(of(SoftmaxSGD, n_epochs=2, batch_size=4, random_state=0, **_QUIET), _SOFTMAX),
        {"coef_": "lf", "intercept_": "l"},
        {"fit": (ROWS_Y, {})},
        {"decision_function": (ROWS, {}), "predict_proba": (ROWS, {}), "score": (ROWS_Y, {})},
        {},
    ),
    "ZCA": (
        *(of(preprocessing.ZCA), {"epsilon": 0.1}),
        {"mean_": "chw", "whitening_": "ff", "dewhitening_": "ff"},
        {"fit": (X, {}), "fit_transform": (X, {})},
        {"transform": (X, {}), "inverse_transform": (X, {})},
        {},
    ),
    "KSparseAutoencoder": (
        of(
            *(KSparseAutoencoder, True),
            **{"n_units": 4, "n_active": 2, "n_active_start": None, "n_epochs": 1},
            **{"batch_size": 4, "random_state": 0, "verbose": False},
        ),
        _TRAINING | {"n_units": 4, "n_active": 2, "n_active_start": 3, "init_scale": 0.1},
        {"filters_": "mchw", "encoder_bias_": "m", "decoder_bias_": "chw"},
        {"fit": (X, {})},
        dict.fromkeys(("transform", "reconstruct", "score", "loss_and_gradients"), (X, {})),
        {},
    ),
    "SupervisedConvNet": (
        of(
            *(SupervisedConvNet, True),
            **{"n_maps": 4, "filter_width": 3, "pool_width": 3, "pool_stride": 2, "n_epochs": 1},
            **{"batch_size": 4, "random_state": 0, "verbose": False},
        ),
        _TRAINING | {"n_maps": 4, "filter_width": 3, "pool_width": 3, "pool_stride": 2, "l2": 0.1},
        {"filters_": "mckk", "bias_": "m", "intercept_": "l"},
        {"fit": (FIT_X_Y, {})},
        {
            **dict.fromkeys(
                ("transform", "predict", "predict_proba", "decision_function"), (X, {})
            ),
            **dict.fromkeys(("score", "loss_and_gradients"), (FIT_X_Y, {})),
        },
        {},
    ),
    "TriangleKMeans": (
        of(TriangleKMeans, **_TRIANGLE, **_QUIET),
        *(_TRIANGLE, {"centres_": "mckk", "mean_": "ckk", "feature_mean_": "mdd"}),
        {"fit": (X, {}), "fit_transform": (X, {})},
        {"transform": (X, {}), "feature_maps": (X, {})},
        {},
    ),
}
_FUNCTIONS = {
    preprocessing.contrast_normalise: (X, {"epsilon": 0.1}),
    preprocessing.crop_centre: (X, {"side": 4}),
    preprocessing.resize_bilinear: (X, {"side": 4}),
    kmeans: ({"points": "nf"}, {"n_centres": 2, "n_iterations": 2, "random_state": 0}),
    draw_patches: (
        {"images": "nchw"},
        {"n_patches": 5, "width": 3, "random_state": 0, "dtype": "float32"},
    ),
    dense_patches: ({"images": "nchw"}, {"width": 3, "stride": 1}),
}


def _subjects():
    found = {}
    for name, (make, settings, fitted, fits, uses, replaced) in _ESTIMATORS.items():
        for method, (arrays, scalars) in (fits | uses).items():
            arrays = replaced.get(method, arrays)
            own = {} if method in fits else fitted
            sides = SIDES | ({"d": 2} if name == "TriangleKMeans" else {})
            dtypes = {"mean_": "float64"} if name == "ZCA" else {}
            known = (settings, own, LABELS, dtypes, sides, method in fits)
            found[f"{name}.{method}"] = Subject(make, method, arrays, scalars, *known)
    for function, (arrays, scalars) in _FUNCTIONS.items():
        found[function.__name__] = Subject(None, function, arrays, scalars)
    return found


SUBJECTS = _subjects()


@functools.cache
def _fitted(name, backend):
    """An estimator of that name that was fitted as it is made."""
    subject = SUBJECTS[f"{name}.fit"]
    random = np.random.default_rng(0)
    x = random.standard_normal((9, *IMAGES.values())).astype(np.float32)
    labels = {"y": np.arange(9) % 3} if "y" in subject.arrays else {}
    return subject.make(backend).fit(X=x, **labels)


def run(name, args, backend):
    """Call it; returns a flat list of what it returned, or of what it has learned.

    args: arguments, settings and arrays of a fitted estimator, by name.
    """
    subject = SUBJECTS[name]
    own = {key: value for key, value in args.items() if key in subject.settings}
    fitted = {key: value for key, value in args.items() if key in subject.fitted}
    given = {key: value for key, value in args.items() if key not in own and key not in fitted}
    if subject.make is None:
        return flat(subject.call(**given))
    if subject.fits:
        estimator = subject.make(backend, **own)
    else:
        estimator = copy.deepcopy(_fitted(name.partition(".")[0], backend)).set_params(**own)
        for key, value in fitted.items():
            setattr(estimator, key, value)
    result = getattr(estimator, subject.call)(**given)
    if result is not estimator:
        return flat(result)
    return learned(estimator)


def learned(estimator):
    """The arrays that an estimator has learned."""
    if hasattr(estimator, "layers_"):
        return [array for each in estimator.layers_ for array in learned(each)]
    arrays, _ = estimator.to_file()
    return [arrays[name] for name in sorted(arrays)]


def flat(result):
    """A flat list of the arrays and numbers in a result."""
    if isinstance(result, dict):
        return [part for name in sorted(result) for part in flat(result[name])]
    if isinstance(result, list | tuple):
        return [part for each in result for part in flat(each)]
    return [result]
