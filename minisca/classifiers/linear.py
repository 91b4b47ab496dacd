"""Linear classifiers on features too large to copy: what is minimised, and what is kept of it.

One pass over the features gives both the loss and its gradient, a block of rows at a time; what a
row of scores costs, and how the minimum is found, is the classifier's own.
"""

import copy
import os
from collections.abc import Callable
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from minisca.classifiers.base import Classifier
from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.resuming import FitFile
from minisca.files.checkpoint import FLOATS, LABELS, CheckpointError, Learned
from minisca.validation import (
    check_flag,
    check_integer,
    check_labels,
    check_number,
    check_verbose,
)


class Problem(NamedTuple):
    """What is to be minimised: the mean over rows of their losses, and a penalty on the weights.

    The weights (n_classes, n_features), float64, are those of the features times `scale`.
    """

    blocks: FeatureBlocks
    codes: np.ndarray  # (n,): the class of each row, from 0
    n_classes: int
    mean: np.ndarray  # (n_features,): of the features as they are
    scale: float
    l2: float  # l2 / 2 times the sum of the squared weights is the penalty
    row_losses: Callable  # (scores, codes) -> the sum of some rows' losses, its gradient by scores


class LinearClassifier(Classifier):
    """A classifier with `l2`, `max_iter`, `tol` and `verbose` whose scores are linear.

    A subclass defines `_row_losses(scores, truth)`, as a Problem has it, and `_minimise(problem,
    max_iter, tol, file)`: weights and intercepts, float64, the objective there, the iterations
    made, and whether they sufficed. It goes on from `file.found` and tells the FitFile what it has
    reached.
    """

    _main = "coef"
    _learned_numbers: ClassVar = {
        "loss": check_number,
        "n_iter": partial(check_integer, minimum=0),
        "converged": check_flag,
    }

    @np.errstate(under="ignore")  # a number that underflows is 0
    def fit(self, X, y, checkpoint=None, resume=False):
        """Learn from features and their labels.

        Parameters
        ----------
        X : array (n, ...) of any real dtype and any rank from 2, each row flattened
            Any array that slices along its first axis (np.memmap, HDF5 data set): a block of rows
            is read at a time. float16, float32 and small integers are computed in float32, all else
            in float64.
        y : array (n,) of whole numbers or text
        checkpoint : path or None
            Where the fit is saved: before its first iteration, then as often as takes 2 % of its
            time, when it is interrupted, and in the end, when the file is one that `load` reads.
        resume : bool, default False
            Go on from that file, if there is one, to the bits of an uninterrupted fit.

        Returns
        -------
        self

        Raises
        ------
        ValueError or TypeError, naming the argument, for empty, 1-D, sparse, NaN or infinite
        features, for labels of another length or type, and for fewer than two classes;
        CheckpointError if the file to resume from is damaged, or of other settings, features or
        labels. What stops a fit leaves the classifier as it was.
        """
        self.check_parameters()
        if resume and checkpoint is None:
            raise ValueError("checkpoint is None; with resume it must be the path to resume from")
        blocks = FeatureBlocks(X)
        labels = check_labels(y, blocks.n)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has one class, {classes.tolist()[0]!r}; it must have two or more")
        with FitFile(checkpoint, self, blocks, labels) as file:
            fitted = file.resume() if resume else None
            if fitted is None:
                fitted = copy.copy(self)
                vars(fitted).update(self._learn(blocks, classes, codes, file))
                file.finish(fitted)
        learned = (*self._learned_arrays(), *self._learned_numbers)
        vars(self).update({f"{name}_": getattr(fitted, f"{name}_") for name in learned})
        return self

    def _learn(self, blocks, classes, codes, file):
        """{attribute: value} of what is learned; codes (n,): the class of each row, from 0."""
        l2, max_iter, tol = float(self.l2), int(self.max_iter), float(self.tol)
        mean, mean_square = blocks.moments()
        if not np.isfinite(mean_square):
            raise ValueError("X has values too large to square; divide the features by a constant")
        scale = 1 / np.sqrt(mean_square) if mean_square > 0 else 1.0
        problem = Problem(blocks, codes, len(classes), mean, scale, l2, self._row_losses)
        weights, intercept, loss, n_iter, converged = self._minimise(problem, max_iter, tol, file)
        if not (np.isfinite(weights).all() and np.isfinite(intercept).all()):
            if file.found:
                why = "leads to weights that are not finite: fit without resume to begin anew"
                raise CheckpointError(f"{os.fspath(file.path)} {why}")
            raise ValueError("X has values too far apart for the loss to stay finite; rescale them")
        return {
            "classes_": classes,
            "coef_": (scale * weights).astype(blocks.dtype),
            "intercept_": intercept.astype(blocks.dtype),
            **{"loss_": loss, "n_iter_": n_iter, "converged_": converged},
        }

    @classmethod
    def from_file(cls, path, arrays, settings):
        """As `Estimator.from_file`; CheckpointError for a fit that is not done."""
        if "training" in settings:
            must = "fit(X, y, checkpoint=, resume=True) goes on with it"
            raise CheckpointError(f"{os.fspath(path)} holds a fit that was interrupted; {must}")
        return super().from_file(path, arrays, settings)

    def check_parameters(self):
        """Raise ValueError or TypeError, naming it, for a bad constructor argument."""
        check_number("l2", self.l2)
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol)
        check_verbose(self.verbose)

    def _count(self, X):
        return FeatureBlocks(X).n

    @property
    def n_features_in_(self):
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
        blocks = FeatureBlocks(X, dtype=self.coef_.dtype)
        if blocks.n_features != self.n_features_in_:
            raise ValueError(
                f"X has {blocks.n_features} features a row (shape {tuple(np.shape(X))}); "
                f"it must have {self.n_features_in_}, as in fit"
            )
        weights = self.coef_.astype(blocks.dtype, copy=False).T
        scores = np.empty((blocks.n, len(self.classes_)))
        for rows, block in blocks.checked():
            scores[rows] = block @ weights
        return scores + self.intercept_


def loss_and_gradient(problem, weights, intercept):
    """A Problem's objective, d_weights and d_intercept in one pass over the features.

    All float64, summed in an order that is always the same.
    """
    from minisca.classifiers.kernels.products import accumulate_, pack_weights, project

    blocks, codes, n_classes, _, scale, l2, row_losses = problem
    # The features stay as they are: scaling the weights gives the same products.
    packed = pack_weights((scale * weights).astype(blocks.dtype))
    loss = 0.0
    d_weights = np.zeros(weights.shape)
    d_intercept = np.zeros(len(intercept))
    product = np.empty(weights.shape, blocks.dtype)
    for rows, block in blocks.as_stored():
        scores = project(block, packed, n_classes, blocks.strips) + intercept
        block_loss, residual = row_losses(scores, codes[rows])
        loss += block_loss
        d_intercept += residual.sum(axis=0)
        product[:] = 0
        accumulate_(product, residual.astype(blocks.dtype), blocks.strips)
        d_weights += product
    loss = loss / blocks.n + l2 / 2 * np.vdot(weights, weights)
    d_weights *= scale / blocks.n
    d_weights += l2 * weights
    return float(loss), d_weights, d_intercept / blocks.n
