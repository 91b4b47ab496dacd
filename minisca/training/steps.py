"""The steps of an epoch: each started by the host, or recorded where all that they need is there.

The host waits for a loss only where it lies on the host anyway. Those of a device are read when the
epoch's last step was started: an epoch that went wrong is undone whole, whenever that is seen.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minisca.training.objective import Unread


class Task(NamedTuple):
    """What an epoch goes through: n items."""

    n: int
    #: From a list of sorted index arrays, one a batch, to an iterable of the batches.
    read: Callable
    #: Does one step, from a batch, the epoch's number, from 0, and the learning rate, as of
    #: `SGD.step`, to the items' mean loss before it, as that of `objective`.
    step: Callable
    #: From a step and the number of steps of all epochs to the learning rate.
    rate: Callable
    #: From NumPy's generator to the order of an epoch; None: any order is as good.
    order: Callable | None = None
    #: From an epoch's mean loss to the largest that is learning.
    limit: Callable = lambda loss: math.inf
    #: What a DivergenceError says is left, with a place for the last good epoch.
    left: str = "The filters are those after epoch {}"
    #: Where all items are on a device, the array of them, and from some of these to their batch.
    #: The epoch's number is then not looked at.
    items: Any = None
    make_batch: Callable | None = None


class Steps:
    """The steps of a `Task` by an optimiser, `SGD` of arrays that are nobody else's."""

    def __init__(self, optimiser, task):
        self.optimiser, self._task = optimiser, task

        def step(items, rates):
            return task.step(task.make_batch(items), None, rates)

        # One object, by which what was recorded is known again; no method, which would keep all of
        # this, the images on a device too, until Python looks for cycles.
        self._step = step
        self._recorded = optimiser.backend.make_steps() if task.make_batch else None

    def run(self, rows, rates, epoch, bar):
        """Do one step a batch; yield the batches' mean losses as soon as they are on the host.

        rows: a list of sorted index arrays. rates: the learning rate of every step. bar: counts the
        items of steps that were started.
        """
        if self._recorded is None:
            yield from self._one_by_one(rows, rates, epoch, bar)
        else:
            optimiser = self.optimiser
            trained = *optimiser.parameters.values(), *optimiser.velocities.values()
            number, scales = trained[0].dtype, list(optimiser.rates(1.0).values())
            each = np.outer(rates, scales).astype(number)
            what = self._step, self._task.items, rows, each, trained
            lengths = map(len, rows)
            yield from self._recorded.run(*what, lambda: bar.update(next(lengths))).tolist()

    def _one_by_one(self, rows, rates, epoch, bar):
        backend, losses = self.optimiser.backend, None
        for step, batch in enumerate(self._task.read(rows)):
            loss = self._task.step(batch, epoch, rates[step])
            del batch  # its memory is the next step's
            if isinstance(loss, Unread):
                losses = backend.empty((len(rows),), "float64") if losses is None else losses
                backend.add_up_(losses[step : step + 1], *loss)
            else:
                yield loss
            bar.update(len(rows[step]))
        if losses is not None:
            yield from backend.to_host(losses).tolist()
