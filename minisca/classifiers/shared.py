"""Linear classifiers that several ranks fit: each reads some of the rows, or has some classes.

L-BFGS runs on rank 0, which asks the others for their part of the loss and its gradient; blocks of
rows are summed in the tree of `minisca.communicators`, so that the bits do not depend on how many
ranks there are. The SVM's machines, one a class, know nothing of each other: see `svm.descend`.
"""

import copy

import numpy as np

from minisca.backends import get_backend
from minisca.classifiers.problem import make_problem, of_block
from minisca.communicators import as_communicator
from minisca.communicators.agreement import agree, described, together
from minisca.training.images import fingerprint


class SharedFeatures:
    """The rows of `blocks`, a FeatureBlocks, of which each rank reads some."""

    def __init__(self, ranks, blocks, codes, row_losses):
        self.ranks, self._codes, self._row_losses = ranks, codes, row_losses
        self.n, self.n_features, self.dtype = blocks.n, blocks.n_features, blocks.dtype
        self._n_blocks = len(blocks.slices)
        self._own = blocks.slices[ranks.share(self._n_blocks)]
        self._blocks = copy.copy(blocks)

    def _sum(self, parts, like):
        return self.ranks.sum_blocks(get_backend("cpu"), parts, self._n_blocks, like)

    def moments(self):
        """As `FeatureBlocks.moments`; called on all ranks."""

        def measure():
            found = []
            for rows in self._own:
                self._blocks.slices = [rows]  # one after the other, each with sums of its own
                mean, square = self._blocks.moments()
                found.append((mean, np.array([square])))
            return found

        own = together(self.ranks, measure)
        mean, square = self._sum(own, (np.empty(self.n_features), np.empty(1)))
        return mean, float(square[0])

    def loss_and_gradient(self, problem, weights, intercept):
        """As `minisca.classifiers.problem.loss_and_gradient`; called on rank 0."""
        task = problem.scale * weights, intercept
        loss, d_weights, d_intercept = self.part(*self.ranks.from_first(lambda: task))
        loss = loss[0] / self.n + problem.l2 / 2 * np.vdot(weights, weights)
        d_weights = d_weights * (problem.scale / self.n) + problem.l2 * weights
        return float(loss), d_weights, d_intercept / self.n

    def part(self, scaled, intercept):
        """The sums of loss, d_weights and d_intercept over all rows; called on all ranks."""
        from minisca.classifiers.kernels.products import pack_weights

        packed = pack_weights(scaled.astype(self.dtype))

        def parts():
            for rows in self._own:
                block, codes = self._blocks.stored_block(rows), self._codes[rows]
                strips = self._blocks.strips
                loss, *found = of_block(block, codes, packed, intercept, self._row_losses, strips)
                yield np.array([loss]), *(np.array(each, np.float64) for each in found)

        return self._sum(parts(), (np.empty(1), np.empty(scaled.shape), np.empty(len(intercept))))


def lead(ranks, function, serve):
    """function() of rank 0, on every rank; what the others are asked for meanwhile, they `serve`.

    To ask is to call `ranks.from_first` for the arguments of `serve`, on rank 0.
    """
    made = raised = None
    if ranks.is_first:
        try:
            made = function()
        except Exception as error:
            raised = error
        ranks.from_first(lambda: None)  # nothing more is asked for
    else:
        while (task := ranks.from_first(None)) is not None:
            serve(*task)

    def result():
        if raised is not None:
            raise raised
        return made

    return ranks.from_first(result)


def minimise_together(ranks, blocks, codes, n_classes, l2, row_losses, minimise):
    """What `minimise(problem, loss_and_gradient)` returns, and the Problem: called on all ranks."""
    features = SharedFeatures(ranks, blocks, codes, row_losses)
    problem = make_problem(features, codes, n_classes, l2, row_losses)

    def function():
        return minimise(problem, features.loss_and_gradient)

    return lead(ranks, function, features.part), problem


def agreed(communicator, classifier, check, resume):
    """The ranks, and what `check` returns on each: features and labels that are the same on all."""
    ranks = as_communicator(communicator)

    def describe():
        blocks, labels = checked = check()
        if classifier.backend_ != "cpu":
            must = "with a communicator it must be 'cpu'"
            raise ValueError(f"backend is {classifier.backend!r}; {must}")
        rows = fingerprint(blocks.features, read=blocks.rows_as_they_are)
        known = {"X": rows, "y": fingerprint(labels, len(labels))}
        settings = classifier.get_params(deep=False) | {"resume": resume}
        return checked, described(settings, ranks, **known)

    return ranks, agree(ranks, describe)
