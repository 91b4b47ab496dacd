"""Features where a backend computes, and the objective of a linear classifier there.

Blocks of rows are brought to the device when they are first met, each while kernels work on the one
before, and stay while they fit. How they are cut depends on the features alone, so that every sum
has the same order, whatever fits.
"""

import warnings

import numpy as np

from minisca.backends import name_of
from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.placed_lbfgs import Standing, search, search_bytes
from minisca.classifiers.placed_vectors import Vectors
from minisca.classifiers.problem import centring, make_problem, smallest_decrease
from minisca.keeping import freed_after_errors
from minisca.progress import progress
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
    end.
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
            searched = search_bytes(int(codes.max() + 1) * (self.n_features + 1))
            self._room = SHARE * max(0, backend.free_bytes() - searched)
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

    def __exit__(self, *_):
        self._held.clear()

    def __iter__(self):
        begun = map(self._begin, self._blocks.slices)
        return zip(self._blocks.slices, ahead(self.backend, begun), strict=True)

    def _begin(self, rows):
        """Begin to bring a block over; the function that gives it there."""
        block = self._held.get(rows.start)
        if block is None:
            block = self._blocks.stored_block(rows)
            if self._blocks.fetch is None:
                arrive = self._send(block)
                return lambda: self._stay(rows, arrive())
        return lambda: self.backend.to_device(block)

    def _send(self, block):
        try:
            return self.backend.send(block)
        except MemoryError as error:
            held = [start for start in self._held if start != "classes"]
            if not held:
                raise
            for start in held:
                del self._held[start]
            self._room = 0
            why = f"{self._blocks.name}: {error}. No rows stay there"
            warnings.warn(f"{why}, all cross over at every iteration", stacklevel=2)
            return self.backend.send(block)

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
        """As `minisca.classifiers.problem.loss_and_gradient`; `row_losses` is a cell's.

        weights and d_weights (n_classes, n_features), float64, are where the backend computes.
        """
        backend, scale, classes = self.backend, problem.scale, self._held["classes"]
        scaled = backend.cast(backend.scaled(weights, scale), self.dtype)
        parameters = scaled, backend.to_device(intercept.astype(self.dtype))
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
        squares = backend.to_host(backend.row_squares(weights)).sum()
        loss = backend.to_host(losses).sum() / self.n + problem.l2 / 2 * squares
        d_weights, d_intercept = gradient
        d_weights = backend.scaled(backend.cast(d_weights, np.float64), scale / self.n)
        backend.add_(d_weights, backend.scaled(weights, problem.l2))
        return float(loss), d_weights, backend.to_host(d_intercept).astype(np.float64) / self.n


class CentredObjective:
    """A Problem's objective of one vector, weights and intercepts of features as `centring` has."""

    def __init__(self, problem):
        self._problem, self._backend = problem, problem.blocks.backend
        self._shape = problem.n_classes, problem.blocks.n_features
        self._end = self._shape[0] * self._shape[1]  # of the weights
        self.vectors = Vectors(self._backend, self._end + problem.n_classes)
        mean, self._stretch, self._constant = centring(problem)
        self._mean = self._backend.to_device(mean[np.newaxis])

    def uncentred(self, vector):
        """Weights (n_classes, n_features) where the backend computes, and intercepts (n_classes,).

        Of features as they are, times `scale`.
        """
        backend, n_classes = self._backend, self._shape[0]
        weights = backend.scaled(vector[: self._end].reshape(self._shape), self._stretch)
        shift = backend.to_host(backend.linear(weights, self._mean, np.zeros(1)))[:, 0]
        intercept = backend.to_host(vector[self._end : self._end + n_classes])
        return weights, self._constant * intercept - shift

    def __call__(self, vector):
        """The loss, and its gradient as a vector."""
        backend, problem, gradient = self._backend, self._problem, self.vectors.zeros()
        weights, intercept = self.uncentred(vector)
        found = problem.blocks.loss_and_gradient(problem, weights, intercept)
        loss, d_weights, d_intercept = found
        of_means, _ = backend.linear_backward(self._mean, -d_intercept[np.newaxis])
        backend.add_(d_weights, of_means)
        rows = gradient[: self._end].reshape(self._shape)
        backend.copy_into_(rows, backend.scaled(d_weights, self._stretch))
        rest = gradient[self._end : self._end + self._shape[0]]
        backend.copy_into_(rest, backend.to_device(self._constant * d_intercept))
        return loss, gradient


def minimise_on(backend, blocks, codes, n_classes, l2, loss, max_iter, tol, verbose, file):
    """What `PenalisedClassifier._minimise` returns, found where `backend` computes; the Problem.

    loss: the name of the operation that gives a row's loss. tol, file: as of `lbfgs.minimise`.
    """
    with freed_after_errors(backend), PlacedFeatures(backend, blocks, codes) as features:
        problem = make_problem(features, codes, n_classes, l2, getattr(backend, loss))
        return _minimise(problem, max_iter, tol, verbose, file), problem


def _minimise(problem, max_iter, tol, verbose, file):
    """As `lbfgs.minimise`. A function by itself, whose frame is cleared when it is interrupted."""
    backend, n = problem.blocks.backend, problem.blocks.n
    objective = CentredObjective(problem)
    if file.found:
        at = Standing.from_file(file.path, file.found, objective.vectors)
    else:
        at = Standing.start(objective.vectors, objective)
        file.reached(at)
    shown = {"initial": at.n_iter * n, "total": max_iter * n, "unit": " images", "delay": 2}
    shown |= {"desc": f"{name_of(backend)}, L-BFGS", "at_most": True, "leave": False}
    with progress(verbose, **shown) as bar:

        def reached(at):
            bar.set_postfix(loss=f"{at.loss:.4g}", refresh=False)
            bar.update(n)
            file.reached(at)

        at, converged = search(objective, at, max_iter, tol, smallest_decrease(problem), reached)
    weights, intercept = objective.uncentred(at.point)
    return backend.to_host(weights), intercept, at.loss, at.n_iter, converged
