"""Features where a backend computes, and the objective of a linear classifier there.

Blocks of rows are brought to the device when they are first met, each while kernels work on the one
before, and stay while they fit. How they are cut depends on the features alone, so that every sum
has the same order, whatever fits. Of a fit's passes only the weights go there, and the objective
and its gradient come back.
"""

import traceback
import warnings

import numpy as np

from minisca.backends import name_of
from minisca.classifiers import lbfgs
from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.problem import make_problem
from minisca.training.arrivals import ahead

#: Bytes of a block: large enough to keep a device busy, and a small part of its memory.
BLOCK_BYTES = 256 << 20
#: Of a device's free memory, how much the features may take that stay there. The rest is for a
#: block on its way, and for its gradients in pieces.
SHARE = 0.75


class PlacedFeatures:
    """The rows of `blocks`, a FeatureBlocks, as arrays (rows, n_features) where `backend` computes.

    Iterating yields (slice of the rows, block): float16 where the features are, else `dtype`.
    codes (n,): the class of each row, from 0, if they are fitted to; only then blocks stay there,
    and it is warned of those that do not fit. A context manager: what stayed is given back at its
    end, and after an exception what the functions that it ended had there too.
    """

    def __init__(self, backend, blocks, codes=None):
        self.backend = backend
        self._blocks = FeatureBlocks(
            blocks.features, blocks.dtype, BLOCK_BYTES, name=blocks.name, fetch=blocks.fetch
        )
        self.n, self.n_features, self.dtype = blocks.n, blocks.n_features, self._blocks.dtype
        if blocks.fetch is not None:  # as it is: on the device nothing is converted
            self.dtype = np.result_type(blocks.features.dtype, np.float32)
        self._room = 0
        self._held = {}
        if codes is not None:
            self._held["classes"] = backend.to_device(codes.astype(np.int32))
            self._room = SHARE * backend.free_bytes()
            self._warn_of_what_does_not_fit()

    def _warn_of_what_does_not_fit(self):
        row_bytes = self._blocks.stored_dtype.itemsize * self.n_features
        if self._blocks.fetch is None and 0 < self._room < self.n * row_bytes:
            warnings.warn(
                f"{self._blocks.name} takes {self.n * row_bytes} bytes, of which "
                f"{name_of(self.backend)} has room for {self._room:.0f}: some "
                f"{self._room // row_bytes:.0f} of {self.n} rows stay on the device, the others "
                "cross over at every iteration",
                stacklevel=7,
            )

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self._held.clear()
        traceback.clear_frames(trace)

    def __iter__(self):
        begun = map(self._begin, self._blocks.slices)
        return zip(self._blocks.slices, ahead(self.backend, begun), strict=True)

    def _begin(self, rows):
        """Begin to bring a block over; the function that gives it there."""
        block = self._held.get(rows.start)
        if block is None:
            block = self._blocks.stored_block(rows)
            if self._blocks.fetch is None:
                arrive = self.backend.send(block)
                return lambda: self._stay(rows, arrive())
        return lambda: self.backend.to_device(block)

    def _stay(self, rows, block):
        n_bytes = block.size * block.dtype.itemsize
        if n_bytes <= self._room:
            self._held[rows.start] = block
            self._room -= n_bytes
        return block

    def moments(self):
        """As `FeatureBlocks.moments`."""
        mean, total = np.zeros(self.n_features), 0.0
        for rows, block in self:
            total += self._checked_squares(rows, block).sum()
            weights = np.full((block.shape[0], 1), 1 / self.n, self.dtype)
            of_block, _ = self.backend.linear_backward(block, weights)
            mean += self.backend.to_host(of_block)[0]
        return mean, total / (self.n * self.n_features)

    def _checked_squares(self, rows, block):
        squares = self.backend.to_host(self.backend.row_squares(block))
        for row in np.flatnonzero(~np.isfinite(squares)):
            self._blocks.check_finite(slice(rows.start + row, rows.start + row + 1))
        return squares

    def scores(self, coef, intercept):
        """The scores (n, n_classes), float64, of rows that are checked as they are read."""
        backend = self.backend
        parameters = [backend.to_device(each.astype(self.dtype)) for each in (coef, intercept)]
        scores = np.empty((self.n, len(coef)))
        for rows, block in self:
            self._checked_squares(rows, block)
            scores[rows] = backend.to_host(backend.linear(block, *parameters))
        return scores

    def loss_and_gradient(self, problem, weights, intercept):
        """As `minisca.classifiers.problem.loss_and_gradient`; `row_losses` is a cell's."""
        backend, scale, classes = self.backend, problem.scale, self._held["classes"]
        scaled = scale * weights, intercept
        parameters = [backend.to_device(each.astype(self.dtype)) for each in scaled]
        losses = backend.empty(len(self._blocks.slices), np.float64)
        gradient = None
        for place, (rows, block) in enumerate(self):
            scores = backend.linear(block, *parameters)
            of_rows, d_scores = problem.row_losses(scores, classes[rows])
            backend.add_up_(losses[place : place + 1], of_rows)
            found = backend.linear_backward(block, d_scores)
            if gradient is None:
                gradient = found
            else:
                for total, part in zip(gradient, found, strict=True):
                    backend.add_(total, part)
        loss = backend.to_host(losses).sum() / self.n + problem.l2 / 2 * np.vdot(weights, weights)
        d_weights, d_intercept = (backend.to_host(each).astype(np.float64) for each in gradient)
        d_weights *= scale / self.n
        d_weights += problem.l2 * weights
        return float(loss), d_weights, d_intercept / self.n


def minimise_on(backend, blocks, codes, n_classes, l2, loss, max_iter, tol, verbose, file):
    """What `PenalisedClassifier._minimise` returns, found where `backend` computes; the Problem.

    loss: the name of the operation that gives a row's loss. tol, file: as of `lbfgs.minimise`.
    """
    with PlacedFeatures(backend, blocks, codes) as features:
        problem = make_problem(features, codes, n_classes, l2, getattr(backend, loss))
        how = features.loss_and_gradient, f"{name_of(backend)}, L-BFGS"
        return lbfgs.minimise(problem, max_iter, tol, verbose, file, *how), problem
