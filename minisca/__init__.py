"""minisca: sparse convolutional autoencoders trained by winner-take-all, every pass written out.

Importing it compiles nothing and loads no backend; that happens at the first use.
"""

from minisca import datasets, preprocessing
from minisca.autoencoder import SparseConvAutoencoder
from minisca.callbacks import EarlyStopping, JSONLLog
from minisca.classifiers import LinearSVM, LogisticRegression, SoftmaxSGD
from minisca.files.checkpoint import CheckpointError
from minisca.stack import Stack
from minisca.training.fit import DivergenceError
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
