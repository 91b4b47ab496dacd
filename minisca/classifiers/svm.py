"""The linear support vector machine, and the descent in its dual that finds its minimum."""

from dataclasses import dataclass, replace

import numpy as np

from minisca.classifiers.linear import PenalisedClassifier
from minisca.classifiers.problem import loss_and_gradient, make_problem
from minisca.communicators import Solo
from minisca.files.checkpoint import (
    Learned,
    fitting,
    random_state_from_json,
    require,
    require_learned,
)
from minisca.progress import progress
from minisca.validation import check_integer, check_number

#: The square of the constant feature, relative to a dual variable's own curvature. A larger one
#: brings the intercepts sooner to where they should be, and couples the rows more.
CONSTANT = 0.05

#: After so many passes dual variables may sleep; from then on every so many passes all are woken.
#: Only such a pass tells how much there is to put right.
FIRST_SLEEP, WAKING = 8, 4


def squared_hinge(scores, truth):
    """Sum over rows and classes of max(0, 1 - t s)^2, and its gradient by scores (n, n_classes).

    truth (n,): the class of each row, from 0; t is 1 there, else -1.
    """
    targets = np.full(scores.shape, -1.0)
    targets[np.arange(len(scores)), truth] = 1
    short = np.maximum(0, 1 - targets * scores)
    return np.square(short).sum(), -2 * targets * short


class LinearSVM(PenalisedClassifier):
    """One support vector machine a class against all others, with the squared hinge and L2.

    Minimises the mean over rows of the sum over classes of max(0, 1 - t s)^2, s a row's score for a
    class and t 1 for the row's own class and -1 for the others; plus `l2 / 2` times the sum of the
    squared weights, none of the intercepts. As in `LogisticRegression`, these are the weights of
    features divided by their root mean square. scikit-learn's `LinearSVC` minimises the same, but
    for its penalty on the intercepts, with C = 1 / (l2 n). Needs memory for a number a row and
    class, and for the features of 24 rows.

    Parameters
    ----------
    l2 : float > 0, default 1e-2
    max_iter : int >= 1, default 200
        Passes over the features at most. Stopping there is no error; `converged_` tells. Labels are
        predicted as well after about 20.
    tol : float >= 0, default 1e-2
        Stop when no step of a pass had more to put right, in units of the margin, which is 1.
    verbose : bool, default True
        As in `LogisticRegression`.
    backend : str, default "cpu"
        As in `LogisticRegression`. On the CPU the minimum is found by coordinate descent in the
        dual; on a device by L-BFGS, whose iterations `max_iter` counts there: it needs some 200. It
        stops when no entry of the gradient, as in `LogisticRegression`, is larger than tol / 1000.

    Attributes
    ----------
    Those of `LogisticRegression`. With two classes, `decision_function` gives the second's score
    less the first's, which is twice the margin.

    References
    ----------
    C.-J. Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008,
    algorithm 1.

    Examples
    --------
    >>> classifier = LinearSVM().fit(features, labels)
    >>> classifier.score(test_features, test_labels)
    """

    _row_losses = staticmethod(squared_hinge)
    _loss, _gradient_tol = "squared_hinge", 0.001

    def __init__(
        self,
        l2: float = 1e-2,
        max_iter: int = 200,
        tol: float = 1e-2,
        verbose: bool = True,
        backend: str = "cpu",
    ) -> None:
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.backend = backend

    def check_parameters(self) -> None:
        """As `LogisticRegression.check_parameters`; `l2` must be more than 0."""
        check_number("l2", self.l2, low_open=True)
        super().check_parameters()

    def _minimise(self, problem, max_iter, tol, file):
        weights, intercept, *ended = descend(problem, max_iter, tol, self.verbose, file)
        loss, *_ = loss_and_gradient(problem, weights, intercept)
        return weights, intercept, loss, *ended

    def _minimise_together(self, ranks, blocks, codes, n_classes, goal, file):
        l2, *goal = goal
        problem = make_problem(blocks, codes, n_classes, l2, self._row_losses)
        weights, intercept, *ended = descend(problem, *goal, self.verbose, file, ranks)
        loss, *_ = loss_and_gradient(problem, weights, intercept)
        return (weights, intercept, loss, *ended), problem


@dataclass
class Descent:
    """Where the descent stands after a pass, of n rows with f features and m classes.

    It takes 8 n m + 4 f m bytes, 8 f m for float64: 5 MB for 60,000 rows, 12,800 features and 10
    classes.
    """

    duals: np.ndarray  # (n, m) float64, >= 0
    weights: np.ndarray  # (m, f), of the features' dtype
    intercepts: np.ndarray  # (m,) float64
    balance: np.ndarray  # (m,) float64: the sums of signed dual variables
    random: np.random.Generator
    n_passes: int = 0
    violation: float = np.inf  # of the last waking pass

    @classmethod
    def start(cls, n, n_features, n_classes, dtype):
        """Where every descent begins: at 0."""
        weights = np.zeros((n_classes, n_features), dtype)
        duals, intercepts, balance = map(np.zeros, ((n, n_classes), n_classes, n_classes))
        return cls(duals, weights, intercepts, balance, np.random.default_rng(0))

    def of_classes(self, own):
        """The part of some classes, a slice, which know nothing of the others."""
        of_all = {name: getattr(self, name) for name in _ARRAYS}
        parts = {name: a[own] for name, a in of_all.items() if name != "duals"}
        return replace(self, duals=np.ascontiguousarray(self.duals[:, own]), **parts)

    def of_ranks(self, ranks):
        """All classes, of which each rank has some."""
        if ranks.size == 1:
            return self
        whole = {name: ranks.gather(getattr(self, name)) for name in _ARRAYS if name != "duals"}
        duals = np.ascontiguousarray(ranks.gather(self.duals.T).T)
        return replace(self, duals=duals, **whole)

    def to_file(self):
        """Copies of the arrays, and numbers, as a FitFile takes them."""
        return {f"training/{name}": getattr(self, name).copy() for name in _ARRAYS}, {
            "n_passes": self.n_passes,
            "violation": self.violation if self.n_passes else None,  # JSON has no infinity
            "random_state": self.random.bit_generator.state,
        }

    @classmethod
    def from_file(cls, path, found, n, n_features, n_classes, dtype):
        """What `to_file` gave. CheckpointError, naming `path`, if it does not fit the problem."""
        arrays, numbers = found
        with fitting(path):
            if not isinstance(numbers, dict):
                raise TypeError(f"training is {numbers!r}; it must be by name")
        require(path, {}, {}, numbers, ("n_passes", "violation", "random_state"))
        with fitting(path):
            n_passes = check_integer("n_passes", numbers["n_passes"], minimum=0)
            violation = check_number("violation", numbers["violation"]) if n_passes else np.inf
            random = random_state_from_json(numbers["random_state"])
        shapes = (n, n_classes), (n_classes, n_features), (n_classes,), (n_classes,)
        dtypes = "float64", str(dtype), "float64", "float64"
        wanted = {
            f"training/{name}": Learned(shape, dtype, 0 if name == "duals" else -np.inf)
            for name, shape, dtype in zip(_ARRAYS, shapes, dtypes, strict=True)
        }
        require_learned(path, arrays, wanted)
        # Copies: the descent writes into them.
        own = (np.array(arrays[name], order="C") for name in wanted)
        return cls(*own, random, n_passes, violation)


_ARRAYS = ("duals", "weights", "intercepts", "balance")


def descend(problem, max_iter, tol, verbose, file, ranks=None):
    """The minimum of the squared hinges by coordinate descent in the dual.

    One dual variable, of a row and a class, is changed at a time, to where the dual has its minimum
    along it; see `kernels.descent`. Rows come in an order that is drawn anew for every pass, the
    same in every run. After `FIRST_SLEEP` passes a variable that is 0, and whose gradient is larger
    than all that the last waking pass put right, is passed over until the next one.
    Returns weights (n_classes, n_features) and intercepts (n_classes,), float64, the passes made,
    and whether they suffice: whether no step of the last one, and no intercept, had more than `tol`
    to put right, in units of the margin. file: the FitFile. ranks: one of `minisca.communicators`,
    of which each rank has some of the classes, or None.

    With C = 1 / (l2 n), z a row's features and t its sign for a class, the class's machine
    minimises

        |w|^2 / 2 + C sum_i max(0, 1 - t_i (w z_i + b))^2,

    whose dual variables a_i >= 0 give w = sum_i a_i t_i z_i and minimise

        |w|^2 / 2 + sum_i (a_i^2 / (4 C) - a_i)    where sum_i a_i t_i = 0.

    The condition, which a free intercept b brings, is kept by the method of multipliers: b moves
    along as if it were the weight of a constant feature, and after every pass once more by what the
    condition is still violated. Where that is nothing, b is as free as it should be.
    """
    from minisca.classifiers.kernels import descent as kernel  # Numba takes long to import

    blocks, codes, n_classes, mean, scale, l2, _ = problem
    half_slack = l2 * blocks.n / 2
    # The rows' mean squared length once they are centred: `scale` gave each feature the square 1.
    square = blocks.n_features * max(1 - np.mean((scale * mean) ** 2), 0)
    constant = CONSTANT * (square + half_slack)
    centre = mean.astype(blocks.dtype)
    shape = blocks.n, blocks.n_features, n_classes, blocks.dtype
    if file.found:
        at = Descent.from_file(file.path, file.found, *shape)
    else:
        at = Descent.start(*shape)
        file.reached(at)
    ranks = ranks or Solo()
    own = ranks.share(n_classes)
    saves = ranks.from_first(lambda: file.path is not None)
    at, codes = at.of_classes(own), codes - own.start
    shown = {"initial": at.n_passes * blocks.n, "total": max_iter * blocks.n, "unit": " images"}
    with progress(verbose, at_most=True, desc="SVM", delay=2, leave=False, **shown) as bar:
        while at.n_passes < max_iter and at.violation > tol:
            turn = at.n_passes - FIRST_SLEEP
            waking = turn < 0 or turn % WAKING == 0
            # As it was before the pass: what falls asleep does so in a waking one.
            sleep = waking, at.violation if turn >= 0 and waking else kernel.NEVER
            at.intercepts += constant * at.balance
            violations = np.zeros(own.stop - own.start)
            weights = kernel.in_tiles(at.weights)
            machines = (weights, at.intercepts, at.balance, violations)
            steps = centre, scale, half_slack, constant, at.duals, machines
            for rows, block, places in blocks.shuffled(at.random):
                order = at.random.permutation(len(rows))
                kernel.descend_(block, places[order], rows[order], codes, *steps, sleep)
                bar.update(len(rows))
            at.weights[...] = kernel.out_of_tiles(weights, blocks.n_features)
            violated = constant * np.abs(at.balance)
            found = ranks.max(float(max(violations.max(initial=0), violated.max(initial=0))))
            at.violation = found if waking or not np.isfinite(found) else at.violation
            at.n_passes += 1
            bar.set_postfix(violation=f"{at.violation:.2g}", refresh=False)
            if not np.isfinite(at.violation):
                break
            if saves:
                file.reached(at.of_ranks(ranks))
    at = at.of_ranks(ranks)
    weights = at.weights.astype(np.float64)
    converged = bool(at.violation <= tol)
    return weights, at.intercepts - weights @ (scale * mean), at.n_passes, converged
