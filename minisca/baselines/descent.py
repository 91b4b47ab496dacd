"""Stochastic gradient descent over shuffled mini-batches, for what is not trained by winners."""

import numpy as np

from minisca.backends import CHOICES
from minisca.training.fit import DivergenceError
from minisca.training.optim import scheduled_rate
from minisca.validation import check_choice, check_integer, check_number


class Descent:
    """Training by mini-batches, for an estimator that has the constructor arguments below.

    `n_epochs`, `batch_size`, `learning_rate`, `momentum`, `backend`, `dtype`. The learning rate
    falls linearly to 0.
    """

    def _check_descent_parameters(self):
        check_integer("n_epochs", self.n_epochs, minimum=0)
        check_integer("batch_size", self.batch_size)
        check_number("learning_rate", self.learning_rate, low_open=True)
        check_number("momentum", self.momentum, 0, 1, high_open=True)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        check_choice("backend", self.backend, CHOICES)

    def _descend(self, optimiser, n, loss_and_gradients, random):
        """Yield the mean loss of every epoch over n items, after its steps.

        loss_and_gradients(rows, epoch): of the items `rows`, a rising index array. Whatever stops
        an epoch, the parameters are then as they were before it. Raises DivergenceError when the
        loss stops being finite.
        """
        steps = -(-n // self.batch_size)
        with self._bar(total=self.n_epochs * steps, unit="batch") as bar:
            for epoch in range(self.n_epochs):
                bar.set_description(f"epoch {epoch + 1}/{self.n_epochs}")
                with optimiser.all_or_nothing():
                    loss = self._run_epoch(optimiser, n, loss_and_gradients, random, epoch, bar)
                yield loss

    def _run_epoch(self, optimiser, n, loss_and_gradients, random, epoch, bar):
        """One step a batch, in a new random order; the mean of the items' losses."""
        order = random.permutation(n)
        starts = range(0, n, self.batch_size)
        total = 0.0
        for step, start in enumerate(starts):
            rows = np.sort(order[start : start + self.batch_size])
            rate = scheduled_rate(
                self.learning_rate, epoch * len(starts) + step, self.n_epochs * len(starts)
            )
            # What overflows shows in the loss, which is looked at: no need to warn of it too.
            with np.errstate(over="ignore", invalid="ignore"):
                loss, gradients = loss_and_gradients(rows, epoch)
                optimiser.step(gradients, rate)
            total += loss * len(rows)
            finite = np.isfinite(loss) and (
                step + 1 < len(starts)
                or all(np.isfinite(value).all() for value in optimiser.parameters.values())
            )
            if not finite:
                raise DivergenceError(
                    f"the loss became {loss} in epoch {epoch + 1}, batch {step + 1}; lower "
                    f"learning_rate, which is {self.learning_rate:g}"
                )
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        return total / n
