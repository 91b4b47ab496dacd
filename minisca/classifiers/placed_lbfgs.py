"""L-BFGS whose vectors stay where a backend computes; of a fit's passes, only sums leave it.

SciPy's keeps its vectors on the host, in one thread: with 512,000 weights an iteration of it takes
as long as eight evaluations on a device. Here their inner products and sums are cells of the
contract (see `placed_vectors`); what the host does with those is arithmetic on some 20 numbers, and
SciPy's line search, along one number.
"""

import os
import warnings
from dataclasses import dataclass, replace

import numpy as np

from minisca.classifiers.placed_vectors import Vectors
from minisca.files.checkpoint import CheckpointError, Learned, fitting, require, require_learned
from minisca.validation import check_integer, check_number

#: Pairs that a direction is made of. One more is kept: what is written of the next iteration is no
#: part of where the last one stood.
PAIRS = 10


def search_bytes(size):
    """What a search for a minimum over `size` numbers takes of a device's memory, about."""
    return 8 * size * (2 * (PAIRS + 1) + 10)


@dataclass(frozen=True)
class Standing:
    """Where the search stands after an iteration."""

    vectors: Vectors
    point: object  # a vector; no array of it is written into once it is here
    gradient: object
    loss: float
    pairs: object  # (2 (PAIRS + 1), length): steps, each with how the gradient changed by it
    products: np.ndarray  # of the pairs' vectors with each other
    n_pairs: int = 0  # that were ever written, over the oldest ones
    n_iter: int = 0

    @classmethod
    def start(cls, vectors, objective):
        """At 0."""
        point, n = vectors.zeros(), 2 * (PAIRS + 1)
        loss, gradient = objective(point)
        return cls(vectors, point, gradient, loss, vectors.zeros(n), np.zeros((n, n)))

    @property
    def largest(self):
        """The largest entry of the gradient, without its sign."""
        return float(np.abs(self.vectors.backend.to_host(self.gradient)).max())

    def next(self, objective):
        """The Standing after an iteration; None if rounding hides which way is down."""
        vectors, direction = self.vectors, self._direction()
        slope = vectors.dot(direction, self.gradient)
        found = step_along(objective, self, direction, slope)
        if found is None:
            return None
        step, point, loss, gradient = found
        moved = replace(self, point=point, gradient=gradient, loss=loss, n_iter=self.n_iter + 1)
        step = vectors.backend.scaled(direction, step)
        change = vectors.plus(gradient, -1, self.gradient)
        if not vectors.dot(step, change) > np.finfo(np.float64).eps * vectors.dot(change, change):
            return moved  # it tells nothing of the curvature
        first = 2 * (self.n_pairs % (PAIRS + 1))
        for row, vector in enumerate((step, change), first):
            vectors.backend.copy_into_(self.pairs[row], vector)
        moved = replace(moved, products=self.products.copy(), n_pairs=self.n_pairs + 1)
        written, products = moved._written, moved.products
        for row, vector in enumerate((step, change), first):
            found = vectors.dots(self.pairs[:written], vector)
            products[row, :written] = products[:written, row] = found
        return moved

    def forgetting(self):
        """The same, as if it were the first iteration."""
        return replace(self, n_pairs=0, pairs=self.vectors.zeros(len(self.products)))

    @property
    def _steps(self):
        """Where among the pairs' vectors the steps of the last ones are, the oldest first."""
        numbers = range(max(0, self.n_pairs - PAIRS), self.n_pairs)
        return [2 * (number % (PAIRS + 1)) for number in numbers]

    @property
    def _written(self):
        """How many of the pairs' vectors were ever written."""
        return 2 * min(self.n_pairs, PAIRS + 1)

    def _direction(self):
        """Minus the gradient times the inverse curvature, as far as the pairs tell it."""
        vectors, gradient = self.vectors, self.gradient
        if self.n_pairs == 0:
            return vectors.backend.scaled(gradient, -1 / np.sqrt(vectors.dot(gradient, gradient)))
        # The two loops of L-BFGS on a vector that is `own` gradients and `factors` of the pairs.
        pairs, products = self.pairs[: self._written], self.products[:, : self._written]
        slopes = vectors.dots(pairs, gradient)
        own, factors, taken = 1.0, np.zeros(len(slopes)), {}
        steps = self._steps
        curvature = {s: products[s, s + 1] for s in steps}
        for s in reversed(steps):
            taken[s] = (own * slopes[s] + products[s] @ factors) / curvature[s]
            factors[s + 1] -= taken[s]
        newest = curvature[steps[-1]] / products[steps[-1] + 1, steps[-1] + 1]
        own, factors = newest * own, newest * factors
        for s in steps:
            back = (own * slopes[s + 1] + products[s + 1] @ factors) / curvature[s]
            factors[s] += taken[s] - back
        return vectors.plus(vectors.combined(pairs, -factors), -own, gradient)

    def to_file(self):
        """As a FitFile takes it: arrays that are fetched when they are written."""
        to_host, numbers = self.vectors.backend.to_host, {n: getattr(self, n) for n in _NUMBERS}
        there = {"point": self.point, "gradient": self.gradient, "products": self.products}
        if self.n_pairs:
            there["pairs"] = self.pairs[: self._written]
        return lambda: ({f"training/{name}": to_host(a) for name, a in there.items()}, numbers)

    @classmethod
    def from_file(cls, path, found, vectors):
        """What `to_file` gave. CheckpointError, naming `path`, if it does not fit the vectors."""
        arrays, numbers = found
        with fitting(path):
            if not isinstance(numbers, dict):
                raise TypeError(f"training is {numbers!r}; it must be by name")
        require(path, {}, {}, numbers, _NUMBERS)
        with fitting(path):
            loss = check_number("loss", numbers["loss"])
            counts = [check_integer(name, numbers[name], minimum=0) for name in _NUMBERS[1:]]
        n, length = 2 * (PAIRS + 1), vectors.length
        shapes = {"point": (length,), "gradient": (length,), "products": (n, n)}
        if counts[0]:
            shapes["pairs"] = min(n, 2 * counts[0]), length
        wanted = {f"training/{name}": Learned(shape, "float64") for name, shape in shapes.items()}
        require_learned(path, arrays, wanted)
        point, gradient, products, *written = (arrays[name] for name in wanted)
        pairs, to_device = vectors.zeros(n), vectors.backend.to_device
        for each in written:
            vectors.backend.copy_into_(pairs[: len(each)], to_device(each))
        standing = cls(
            vectors, to_device(point), to_device(gradient), loss, pairs, products, *counts
        )
        for s in standing._steps:
            if not (products[s, s + 1] > 0 and products[s + 1, s + 1] > 0):
                why = f"array 'training/products' has no curvature of the pair in row {s}"
                raise CheckpointError(f"{os.fspath(path)}: {why}; it must be more than 0")
        return standing


_NUMBERS = "loss", "n_pairs", "n_iter"


def step_along(objective, at, direction, slope):
    """A step along the direction as the strong Wolfe conditions have it, and what is there.

    (step, point, loss, gradient); None if none is found. slope: of the loss there.
    """
    from scipy.optimize import line_search  # longer to import than all of minisca

    met = None

    def meet(step):
        nonlocal met
        step = float(step[0])
        if met is None or met[0] != step:
            point = at.vectors.plus(at.point, step, direction)
            met = step, point, *objective(point)
        return met

    def loss_of(step):
        loss = meet(step)[2]
        return loss if np.isfinite(loss) else np.inf

    def slope_of(step):
        return np.array([at.vectors.dot(direction, meet(step)[3])])

    line = np.zeros(1), np.ones(1), np.array([slope]), at.loss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it found none, which is told below
        step, *_, found_slope = line_search(loss_of, slope_of, *line)
    if step is None or found_slope is None:
        return None
    return meet([step])


def search(objective, at, max_iter, tol, smallest_decrease, reached):
    """The Standing at the minimum, and whether it is one.

    objective: from a vector to the loss and its gradient, a vector. at: the Standing to go on from.
    It is one if no entry of the gradient is larger than `tol`, or if an iteration brought the loss
    down by less than `smallest_decrease` of it. Its loss is NaN where a number overflows.
    reached(standing): called after every iteration.
    """
    while not (largest := at.largest) <= tol:
        if not np.isfinite(at.loss + largest):
            return replace(at, loss=np.nan), False
        if at.n_iter == max_iter:
            return at, False
        moved = at.next(objective)
        if moved is None:
            if at.n_pairs == 0:
                return at, False
            at = at.forgetting()
            continue
        size = max(abs(at.loss), abs(moved.loss), 1)
        enough = at.loss - moved.loss <= smallest_decrease * size
        at = moved
        reached(at)
        if enough:
            break
    return at, True
