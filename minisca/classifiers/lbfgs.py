"""How logistic regression finds its minimum on the CPU: SciPy's L-BFGS.

SciPy keeps the state of its L-BFGS to itself. A fit that goes on is therefore made again from the
start, with every value and gradient that was found before read from a record: to the same bits,
and without a pass over the features.
"""

import hashlib
import os
import warnings

import numpy as np

from minisca.classifiers.problem import centring, smallest_decrease
from minisca.files.checkpoint import CheckpointError, Learned, require_learned
from minisca.progress import progress


def minimise(problem, max_iter, tol, verbose, file, loss_and_gradient):
    """The minimum of a Problem's objective: what `PenalisedClassifier._minimise` returns.

    Iterations suffice if no entry of the gradient, of features as `centring` has them, is larger
    than `tol`. file: the FitFile. loss_and_gradient(problem, weights, intercept): as
    `minisca.classifiers.problem` has it.
    """
    from scipy.optimize import minimize as scipy_minimize  # longer to import than all of minisca

    blocks = problem.blocks
    shape = (problem.n_classes, blocks.n_features)
    mean, stretch, constant = centring(problem)
    n_parameters = shape[0] * shape[1] + shape[0]
    record = None
    if file.path is not None:
        if file.found:
            record = Record.from_file(file.path, file.found, n_parameters)
        else:
            record = Record(n_parameters)
            file.reached(record)

    def objective(parameters):
        if record and (known := record.recall(parameters)):
            return known
        found = evaluate(parameters)
        if record:
            record.add(parameters, *found)
        return found

    def evaluate(parameters):
        weights, intercept = uncentred(parameters)
        loss, d_weights, d_intercept = loss_and_gradient(problem, weights, intercept)
        d_weights -= np.outer(d_intercept, mean)
        d_weights *= stretch
        d_intercept *= constant
        return loss, np.concatenate([d_weights, d_intercept], axis=None)

    def uncentred(parameters):
        n_weights = shape[0] * shape[1]
        weights = stretch * parameters[:n_weights].reshape(shape)
        return weights, constant * parameters[n_weights:] - weights @ mean

    least = smallest_decrease(problem)
    options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": least}
    shown = {"total": max_iter * blocks.n, "unit": " images", "desc": "L-BFGS", "delay": 2}
    with progress(verbose, at_most=True, leave=False, **shown) as bar:

        def show(intermediate_result):
            bar.set_postfix(loss=f"{intermediate_result.fun:.4g}", refresh=False)
            bar.update(blocks.n)
            if record and not record.recalling:
                file.reached(record)

        start = np.zeros(n_parameters)
        described = {"jac": True, "method": "L-BFGS-B", "callback": show, "options": options}
        result = scipy_minimize(objective, start, **described)
    weights, intercept = uncentred(result.x)
    return weights, intercept, float(result.fun), int(result.nit), bool(result.success)


class Record:
    """The evaluations of an objective of n parameters, in the order that they were made in.

    Of each the loss, the gradient (n,) and the SHA-256 of the parameters (n,): 8 n bytes and some
    more, in memory and in the file. With 12,800 features and 10 classes a hundred take 102 MB.
    """

    def __init__(self, n, path=None):
        self._n, self._path = n, path
        self._evaluations = []  # (digest, loss, gradient); the gradients are rows of the blocks
        self._blocks, self._room = [], 0
        self._recalled = 0
        self._whole = True  # whether no evaluation is missing

    def recall(self, parameters):
        """The next loss and gradient that were recorded before; None if there are no more.

        Where the parameters are others than they were, nothing is known from there on.
        """
        if not self.recalling:
            return None
        place = self._recalled
        digest, *known = self._evaluations[place]
        if digest != _digest(parameters):
            why = "software or a processor that rounds otherwise"
            again = f"its evaluations from number {place + 1} on are made again"
            warnings.warn(f"{self._path} was begun by {why}: {again}", stacklevel=2)
            self._evaluations = self._evaluations[:place]
            self._blocks = [np.array([row for *_, row in self._evaluations]).reshape(-1, self._n)]
            self._room = place
            return None
        self._recalled += 1
        return known

    @property
    def recalling(self):
        """Whether there are more evaluations to recall."""
        return self._recalled < len(self._evaluations)

    def add(self, parameters, loss, gradient):
        """Record an evaluation; none that is not finite, and none after that."""
        self._whole = self._whole and bool(np.isfinite(loss) and np.isfinite(gradient).all())
        if not self._whole:
            return
        filled = len(self._evaluations)
        if filled == self._room:
            self._blocks.append(np.empty((max(16, filled), self._n)))
            self._room += len(self._blocks[-1])
        row = self._blocks[-1][filled - self._room]
        row[:] = gradient
        self._evaluations.append((_digest(parameters), loss, row))
        self._recalled += 1

    def to_file(self):
        """Arrays and numbers, as a FitFile takes them; what is added later does not change them."""
        digests = b"".join(digest for digest, *_ in self._evaluations)
        losses = [loss for _, loss, _ in self._evaluations]
        arrays = {
            "training/points": np.frombuffer(digests, np.uint8).reshape(-1, _DIGEST),
            "training/losses": np.array(losses, np.float64),
        }
        unused = self._room - len(losses)
        for number, block in enumerate(self._blocks, 1):
            filled = len(block) - (unused if number == len(self._blocks) else 0)
            arrays[f"training/gradients/{number}"] = block[:filled]
        return arrays, {}

    @classmethod
    def from_file(cls, path, found, n):
        """What `to_file` gave. CheckpointError, naming `path`, if it does not fit n parameters."""
        arrays, _ = found
        record = cls(n, os.fspath(path))
        blocks = [name for name in arrays if name.startswith("training/gradients/")]
        wanted = {
            "training/points": Learned((None, _DIGEST), "uint8"),
            "training/losses": Learned((None,), "float64"),
            **{name: Learned((None, n), "float64") for name in blocks},
        }
        require_learned(path, arrays, wanted)
        record._blocks = [arrays[name] for name in blocks]
        gradients = [row for block in record._blocks for row in block]
        digests = [point.tobytes() for point in arrays["training/points"]]
        losses = arrays["training/losses"].tolist()
        if not len(digests) == len(losses) == len(gradients):
            found = f"{len(digests)} points, {len(losses)} losses and {len(gradients)} gradients"
            raise CheckpointError(f"{record._path} has {found}; there must be as many of each")
        record._evaluations = list(zip(digests, losses, gradients, strict=True))
        record._room = len(gradients)
        return record


#: Bytes of a SHA-256.
_DIGEST = 32


def _digest(parameters):
    return hashlib.sha256(np.ascontiguousarray(parameters)).digest()
