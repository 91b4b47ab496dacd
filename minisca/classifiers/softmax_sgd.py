"""Softmax regression by stochastic gradient descent, stopped early: the paper's authors' recipe."""

from functools import partial
from types import SimpleNamespace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from minisca.backends import get_backend
from minisca.classifiers.feature_blocks import FeatureBlocks
from minisca.classifiers.linear import LinearClassifier, scores_of
from minisca.classifiers.logistic import LogisticRegression, cross_entropy
from minisca.classifiers.problem import of_block
from minisca.classifiers.softmax_state import State
from minisca.files.checkpoint import Learned, random_state_from_json
from minisca.training.fit import Task, run_epochs
from minisca.training.optim import SGD, own_copies
from minisca.types import Array, Features, PathLike
from minisca.validation import check_integer, check_number, check_seed, check_verbose


class SoftmaxSGD(LinearClassifier):
    """Softmax regression without a penalty, by stochastic gradient descent with momentum.

    All that regularises is when it stops: of the epochs, the one with the fewest errors on
    validation images is kept. The loss is the mean cross-entropy of a batch. The features are used
    as they are, with no division by their root mean square: so did the paper's authors. A good
    learning rate therefore depends on the features' scale.

    Parameters
    ----------
    n_epochs : int >= 1, default 30
    learning_rate : float > 0, default 0.1
    drop_after : tuple of int >= 1, default (10, 20)
        The learning rate is divided by ten after so many epochs.
    batch_size : int >= 1, default 100
        The rows come in an order that is drawn anew for every epoch.
    momentum : float in [0, 1), default 0.9
    init_scale : float >= 0, default 0.01
        Standard deviation of the first weights. The intercepts begin at 0.
    random_state : int or None, default None
        Seed of the first weights and the order of the rows.
    verbose : bool, default True
        A progress bar, on a terminal or in a notebook.

    Attributes
    ----------
    classes_ : array (n_classes,)
        The labels, sorted.
    coef_ : array (n_classes, n_features)
        float64 if the features need it, else float32.
    intercept_ : array (n_classes,), of the same dtype
    loss_history_ : float64 array (n_epochs,)
        Mean cross-entropy over each epoch, measured on the batches while training.
    validation_error_history_ : float64 array (n_epochs,), or (0,) without validation
        The fraction of validation rows that is wrong after each epoch.
    best_epoch_ : int
        The epoch, from 1, whose weights are kept: the first with the fewest validation errors; the
        last without validation.
    n_features_in_ : int

    Examples
    --------
    >>> classifier = SoftmaxSGD(random_state=0)
    >>> classifier.fit(features, labels, validation=(other_features, other_labels))
    >>> classifier.score(test_features, test_labels)
    """

    def __init__(
        self,
        n_epochs: int = 30,
        learning_rate: float = 0.1,
        drop_after: tuple[int, ...] = (10, 20),
        batch_size: int = 100,
        momentum: float = 0.9,
        init_scale: float = 0.01,
        random_state: int | None = None,
        verbose: bool = True,
    ) -> None:
        self._store(locals())

    def fit(
        self,
        X: Features,
        y: ArrayLike,
        checkpoint: PathLike | None = None,
        resume: bool = False,
        validation: tuple[Features, ArrayLike] | None = None,
    ) -> Self:
        """Learn from features and their labels.

        Parameters
        ----------
        X, y, checkpoint, resume : as of `LogisticRegression.fit`; it goes on after an epoch
            The rows of a batch are read one by one.
        validation : (features, labels) like X and y, or None
            What is judged after every epoch. These must be no test images: their error is then the
            lowest of all epochs.

        Returns
        -------
        self

        Raises
        ------
        As `LogisticRegression.fit`. ValueError or TypeError for validation of no rows, of one
        class, of other features or of labels that y has not; DivergenceError when the loss stops
        being finite.
        """
        return self._fit(X, y, checkpoint, resume, validation)

    loss_history_: Array
    validation_error_history_: Array
    predict_proba = LogisticRegression.predict_proba

    @property
    def best_epoch_(self) -> int:
        """The epoch, from 1, whose weights these are."""
        errors = self.validation_error_history_
        return 1 + int(np.argmin(errors)) if len(errors) else len(self.loss_history_)

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError, naming it, for a bad constructor argument."""
        check_integer("n_epochs", self.n_epochs)
        check_number("learning_rate", self.learning_rate, low_open=True)
        if not isinstance(self.drop_after, list | tuple):
            raise TypeError(f"drop_after is {self.drop_after!r}; it must be a tuple of epochs")
        for place, epoch in enumerate(self.drop_after):
            check_integer(f"drop_after[{place}]", epoch)
        check_integer("batch_size", self.batch_size)
        check_number("momentum", self.momentum, 0, 1, high_open=True)
        check_number("init_scale", self.init_scale)
        check_seed(self.random_state)
        check_verbose(self.verbose)

    def _learn(self, blocks, classes, codes, file, held_out):
        for _ in blocks.checked():
            pass
        shape = len(classes), blocks.n_features
        if file.found:
            start = state = State.from_file(file, shape, blocks.dtype, self.n_epochs, held_out)
        else:
            start = state = State.start(self, shape, blocks.dtype)
            file.reached(start)
        for state in descend(self, start, blocks.features, codes, held_out):
            file.reached(state)
        return {
            "classes_": classes,
            "coef_": state.kept["coef"],
            "intercept_": state.kept["intercept"],
            "loss_history_": np.array(state.losses, np.float64),
            "validation_error_history_": np.array(state.errors, np.float64),
        }

    @classmethod
    def _constructed(cls, path, settings):
        estimator, mattered = super()._constructed(path, settings)
        estimator.drop_after = tuple(estimator.drop_after)  # a file has lists alone
        return estimator, mattered

    def _learned_arrays(self):
        return super()._learned_arrays() | {
            "loss_history": Learned(("epochs",), "float64"),
            "validation_error_history": Learned((None,), "float64"),
        }


def descend(settings, state, features, codes, held_out):
    """Train on from a State; yield it after every epoch that is left.

    settings: a SoftmaxSGD. features, codes (n,): as of a FeatureBlocks, and the class of each row.
    """
    batches = FeatureBlocks(features, rows=settings.batch_size)
    backend = get_backend("cpu")
    trained, velocities = (own_copies(backend, a) for a in (state.parameters, state.velocities))
    optimiser = SGD(backend, trained, settings.momentum, velocities)

    def read(rows):
        return ((batches.at(indices), codes[indices]) for indices in rows)

    def step(batch, _, learning_rate):
        loss, gradients = loss_and_gradients(trained, *batch, batches.strips)
        optimiser.step(gradients, learning_rate)
        return loss

    task = Task(batches.n, read, step, partial(rate, settings), left="The classifier is as it was")
    random = random_state_from_json(state.random_state)
    epochs = range(len(state.losses), settings.n_epochs)
    described = SimpleNamespace(**settings.get_params(), dtype=batches.dtype)
    made = run_epochs(described, optimiser, task, random, epochs, "classifier, epoch {}/{}")
    for loss, parameters, velocities in made:
        error = None if held_out is None else error_of(parameters, held_out)
        reached = {"parameters": parameters, "velocities": velocities}
        state = state.after(loss, error, **reached, random_state=random.bit_generator.state)
        yield state


def rate(settings, step, n_steps):
    """The learning rate at `step` of `n_steps`, from 0."""
    epochs_done = step * settings.n_epochs // n_steps
    drops = sum(epochs_done >= epoch for epoch in settings.drop_after)
    return settings.learning_rate / 10**drops


def loss_and_gradients(parameters, block, codes, strips):
    """The mean cross-entropy of a block's rows, float64, and its gradients by name.

    With p the softmax of a row's scores W x + b and t its class, one-hot, the loss -log p_t has the
    gradients (p - t) x by W and p - t by b. The products are of the block's dtype, the softmax of
    float64. strips: memory, see `minisca.classifiers.kernels.products`.
    """
    from minisca.classifiers.kernels.products import pack_weights

    n, intercept = len(block), parameters["intercept"]
    how = pack_weights(parameters["coef"]), intercept.astype(np.float64), cross_entropy, strips
    loss, d_coef, d_intercept = of_block(block, codes, *how)
    d_coef /= n
    return float(loss) / n, {"coef": d_coef, "intercept": (d_intercept / n).astype(intercept.dtype)}


def error_of(parameters, held_out):
    """The fraction of rows whose largest score is of another class than theirs."""
    scores = scores_of(held_out.blocks, parameters["coef"], parameters["intercept"])
    return float(np.mean(scores.argmax(axis=1) != held_out.codes))
