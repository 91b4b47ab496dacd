"""Linear classifiers on features too large to copy: what they share.

Features are read a block of rows at a time, which gives both the loss and its gradient; what a row
of scores costs, and how the weights are found, is the classifier's own.
"""

import copy
import os
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from minisca.backends import CHOICES, get_backend, name_of
from minisca.classifiers.base import Classifier
from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.placed import PlacedFeatures, minimise_on
from minisca.classifiers.problem import make_problem
from minisca.classifiers.resuming import FitFile
from minisca.classifiers.shared import agreed
from minisca.communicators import Solo
from minisca.files.checkpoint import FLOATS, LABELS, CheckpointError, Learned
from minisca.keeping import freed_after_errors
from minisca.training.arrivals import own
from minisca.types import Array, Features, PathLike
from minisca.validation import (
    check_choice,
    check_flag,
    check_integer,
    check_labels,
    check_number,
    check_resume,
    check_verbose,
    is_of_device,
)


class HeldOut(NamedTuple):
    """Features that are classified while a classifier is fitted to others, and their labels."""

    blocks: FeatureBlocks
    labels: np.ndarray  # (n,)
    codes: np.ndarray  # (n,): the class of each row, from 0


class LinearClassifier(Classifier):
    """A classifier with `verbose` whose scores are linear.

    A subclass defines `_learn(blocks, classes, codes, file, held_out)`: {attribute: value} of what
    is learned, codes (n,) the class of each row, from 0. It goes on from `file.found` and tells the
    FitFile what it has reached. held_out: a HeldOut, or None.
    """

    _main = "coef"
    _takes_images = False
    backend = "cpu"

    def fit(
        self,
        X: Features,
        y: ArrayLike,
        checkpoint: PathLike | None = None,
        resume: bool = False,
        communicator: Any = None,
    ) -> Self:
        """Learn from features and their labels.

        Parameters
        ----------
        X : array (n, ...) of any real dtype and any rank from 2, each row flattened
            Any array that slices along its first axis (np.memmap, HDF5 data set): a block of rows
            is read at a time. float16, float32 and small integers are computed in float32, all else
            in float64. Or an array of the backend's device, of float16, float32 or float64.
        y : array (n,) of whole numbers or text, of the host or like X
        checkpoint : path or None
            Where the fit is saved: before its first iteration, then as often as takes 2 % of its
            time, when it is interrupted, and in the end, when the file is one that `load` reads.
        resume : bool, default False
            Go on from that file, if there is one, to the bits of an uninterrupted fit. Settings,
            `backend` among them, must be those that it began with.
        communicator : an mpi4py communicator, one of `minisca.communicators`, or None
            Of the ranks that fit together, on the CPU; each is given the same features and labels.

        Returns
        -------
        self

        Raises
        ------
        ValueError or TypeError, naming the argument, for empty, 1-D, sparse, NaN or infinite
        features, for features or labels of another device than the backend's, for labels of another
        length or type, and for fewer than two classes; ImportError or RuntimeError if the
        backend does not run on this machine; MemoryError if it has no room for a block of features;
        CheckpointError if the file to resume from is damaged, or of other settings, features or
        labels. What stops a fit leaves the classifier as it was.
        """
        return self._fit(X, y, checkpoint, resume, communicator=communicator)

    @np.errstate(under="ignore")  # a number that underflows is 0
    def _fit(self, X, y, checkpoint, resume, validation=None, communicator=None):
        def check():
            self.check_parameters()
            check_resume(resume, checkpoint)
            blocks = self._blocks(X)
            return blocks, check_labels(self._on_host("y", y), blocks.n)

        ranks, fitting = Solo(), self
        if communicator is None:
            blocks, labels = check()
        else:
            ranks, (blocks, labels) = agreed(communicator, self, check, resume)
            fitting = ranks.quiet(self)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has one class, {classes.tolist()[0]!r}; it must have two or more")
        held_out = None
        if validation is not None:
            held_out = check_held_out(validation, blocks, classes, type(self).__name__)
        learn = fitting._learn if communicator is None else partial(fitting._learn_together, ranks)
        path = checkpoint if ranks.is_first else None
        with FitFile(path, self, blocks, labels, held_out) as file:
            fitted, file.found = ranks.from_first(file.resume) if resume else (None, None)
            if fitted is None:
                fitted = copy.copy(self)
                vars(fitted).update(learn(blocks, classes, codes, file, held_out))
                file.finish(fitted)
        learned = (*self._learned_arrays(), *self._learned_numbers)
        vars(self).update({f"{name}_": getattr(fitted, f"{name}_") for name in learned})
        return self

    @classmethod
    def from_file(cls, path: PathLike, arrays: dict[str, Array], settings: dict[str, Any]) -> Self:
        """As `Estimator.from_file`; CheckpointError for a fit that is not done."""
        if "training" in settings:
            must = "fit(X, y, checkpoint=, resume=True) goes on with it"
            raise CheckpointError(f"{os.fspath(path)} holds a fit that was interrupted; {must}")
        return super().from_file(path, arrays, settings)

    @property
    def backend_(self) -> str:
        """The name of the backend that is used: what "auto" comes to on this machine."""
        return name_of(get_backend(self.backend))

    def _blocks(self, X, dtype=np.float32):
        backend = get_backend(self.backend)
        X = own("X", X, backend)
        return FeatureBlocks(X, dtype, fetch=backend.to_host if is_of_device(X) else None)

    def _on_host(self, name, labels):
        if not is_of_device(labels):
            return labels
        backend = get_backend(self.backend)
        return backend.to_host(own(name, labels, backend))

    def _count(self, X):
        return self._blocks(X).n

    @property
    def n_features_in_(self) -> int:
        """Number of features of a row seen in `fit`."""
        return self.coef_.shape[1]

    def _learned_arrays(self):
        return {
            "classes": Learned(("classes",), LABELS),
            "coef": Learned(("classes", "features"), FLOATS),
            "intercept": Learned(("classes",), FLOATS),
        }

    @np.errstate(under="ignore")  # a number that underflows is 0
    def _scores(self, X):
        self._check_as_fitted()
        blocks = self._blocks(X, self.coef_.dtype)
        check_features(blocks, self.n_features_in_, type(self).__name__)
        backend = get_backend(self.backend)
        if name_of(backend) != "cpu":
            with freed_after_errors(backend), PlacedFeatures(backend, blocks) as features:
                return features.scores(self.coef_, self.intercept_)
        return scores_of(blocks, self.coef_, self.intercept_)


def check_features(blocks, n_features, who):
    """Raise ValueError if the rows have another number of features than `who` expects."""
    if blocks.n_features != n_features:
        raise ValueError(  # the words are scikit-learn's
            f"{blocks.name} has {blocks.n_features} features, but {who} is expecting {n_features} "
            f"features as input; its shape is {tuple(blocks.features.shape)}, not as in fit"
        )


def check_held_out(validation, blocks, classes, who):
    """The HeldOut of a pair of features and labels, like those that are fitted to, or an exception.

    blocks, classes: of what `who` is fitted to.
    """
    if not isinstance(validation, list | tuple) or len(validation) != 2:
        raise TypeError(f"validation is a {type(validation).__name__}; it must be None or (X, y)")
    features = own("X of validation", validation[0], get_backend("cpu"))
    held_out = FeatureBlocks(features, blocks.dtype, name="X of validation")
    check_features(held_out, blocks.n_features, who)
    name = "y of validation"
    labels = check_labels(validation[1], held_out.n, name)
    if (labels.dtype.kind == "U") != (classes.dtype.kind == "U"):
        raise TypeError(f"{name} has dtype {labels.dtype}; it must be like y, {classes.dtype}")
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        found = f"the label {labels[unknown].tolist()[0]!r} in row {unknown.argmax()}"
        raise ValueError(f"{name} has {found}; it must have labels of y only")
    if (labels == labels[0]).all():
        raise ValueError(f"{name} has one class, {labels.tolist()[0]!r}; it must have two or more")
    return HeldOut(held_out, labels, np.searchsorted(classes, labels))


def scores_of(blocks, coef, intercept):
    """The scores (n, n_classes), float64, of rows that are checked as they are read."""
    weights = coef.astype(blocks.dtype, copy=False).T
    scores = np.empty((blocks.n, len(coef)))
    for rows, block in blocks.checked():
        scores[rows] = block @ weights
    return scores + intercept


class PenalisedClassifier(LinearClassifier):
    """A linear classifier with `l2`, `max_iter` and `tol` that goes to a minimum.

    A subclass defines `_row_losses(scores, truth)`, as a Problem has it, the backends' operation
    `_loss` of the same meaning, and, for the CPU, `_minimise(problem, max_iter, tol, file)`:
    weights and intercepts, float64, the objective there, the iterations made, and whether they
    sufficed; `_minimise_together(ranks, blocks, codes, n_classes, (l2, max_iter, tol), file)`, by
    several ranks: that and the Problem. `_gradient_tol` times `tol` is what L-BFGS
    asks of the gradient on a device.
    """

    loss_: float
    n_iter_: int
    converged_: bool

    _gradient_tol = 1.0

    _learned_numbers: ClassVar = {
        "loss": check_number,
        "n_iter": partial(check_integer, minimum=0),
        "converged": check_flag,
    }

    def _learn(self, blocks, classes, codes, file, held_out=None):
        l2, max_iter, tol = float(self.l2), int(self.max_iter), float(self.tol)
        backend = get_backend(self.backend)
        if name_of(backend) == "cpu":
            problem = make_problem(blocks, codes, len(classes), l2, self._row_losses)
            found = self._minimise(problem, max_iter, tol, file)
        else:
            goal = max_iter, tol * self._gradient_tol
            found, problem = minimise_on(
                backend, blocks, codes, len(classes), l2, self._loss, *goal, self.verbose, file
            )
        return self._learned(problem, classes, found, blocks.dtype, file)

    def _learn_together(self, ranks, blocks, classes, codes, file, held_out=None):
        goal = float(self.l2), int(self.max_iter), float(self.tol)
        found, problem = self._minimise_together(ranks, blocks, codes, len(classes), goal, file)
        return self._learned(problem, classes, found, blocks.dtype, file)

    def _learned(self, problem, classes, found, dtype, file):
        """{attribute: value} of what was found."""
        weights, intercept, loss, n_iter, converged = found
        if not all(np.isfinite(each).all() for each in (weights, intercept, loss)):
            if file.found:
                why = "leads to weights that are not finite: fit without resume to begin anew"
                raise CheckpointError(f"{os.fspath(file.path)} {why}")
            raise ValueError("X has values too far apart for the loss to stay finite; rescale them")
        return {
            "classes_": classes,
            "coef_": (problem.scale * weights).astype(dtype),
            "intercept_": intercept.astype(dtype),
            **{"loss_": loss, "n_iter_": n_iter, "converged_": converged},
        }

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError, naming it, for a bad constructor argument."""
        check_number("l2", self.l2)
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol)
        check_verbose(self.verbose)
        check_choice("backend", self.backend, CHOICES)
