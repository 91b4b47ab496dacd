"""minisca: sparse convolutional autoencoders trained by winner-take-all, every pass written out.

Importing it loads nothing: what it shows is imported where it is first used, NumPy too, and a
backend at the first computation.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minisca import datasets, preprocessing
    from minisca.autoencoder import SparseConvAutoencoder
    from minisca.callbacks import EarlyStopping, JSONLLog
    from minisca.classifiers import LinearSVM, LogisticRegression, SoftmaxSGD
    from minisca.files.checkpoint import CheckpointError
    from minisca.stack import Stack
    from minisca.training.divergence import DivergenceError
    from minisca.validation import NotFittedError
    from minisca.versions import show_versions

__version__ = "0.2.0.dev0"

__all__ = [
    "CheckpointError",
    "DivergenceError",
    "EarlyStopping",
    "JSONLLog",
    "LinearSVM",
    "LogisticRegression",
    "NotFittedError",
    "SoftmaxSGD",
    "SparseConvAutoencoder",
    "Stack",
    "datasets",
    "preprocessing",
    "show_versions",
]

#: Where each stands; what is not listed is a module.
_HOMES = {
    "autoencoder": ("SparseConvAutoencoder",),
    "callbacks": ("EarlyStopping", "JSONLLog"),
    "classifiers": ("LinearSVM", "LogisticRegression", "SoftmaxSGD"),
    "files.checkpoint": ("CheckpointError",),
    "stack": ("Stack",),
    "training.divergence": ("DivergenceError",),
    "validation": ("NotFittedError",),
    "versions": ("show_versions",),
}
#: Modules that are there too.
_MODULES = ("backends", "baselines", "figures")

if not TYPE_CHECKING:  # which would take any name for one that is found here

    def __getattr__(name):
        if name not in (*__all__, *_MODULES):
            raise AttributeError(f"module 'minisca' has no attribute {name!r}")
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            return import_module(f"minisca.{name}")
        return globals().setdefault(name, getattr(import_module(f"minisca.{home}"), name))


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__"]
