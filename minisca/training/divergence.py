"""Divergence: which loss is that of no learning, and what is raised then."""

import math

#: A mean loss of an epoch beyond so many times the images' mean squared norm is no learning.
DIVERGED = 10


class DivergenceError(ArithmeticError):
    """The loss stopped being finite; the estimator holds the last good state."""


def make_limit(energy, norm_per_energy, measure=None):
    """The `limit` of a `Task` whose images have patches of this mean squared norm, `energy`.

    norm_per_energy: an image's mean squared norm as a multiple of it. measure(): the energy of
    images that may have more. That takes a while, so it is called where a loss is beyond the limit
    without it.
    """

    def limit(loss):
        most = DIVERGED * norm_per_energy * energy
        if measure is not None and loss > most:
            most = max(most, DIVERGED * norm_per_energy * measure())
        return most or math.inf

    return limit


def check_loss(mean, settings, task, *where):
    """Raise DivergenceError where an epoch's mean loss is beyond the task's limit."""
    limit = task.limit(mean)
    if mean > limit:
        much = f"the mean loss, {mean:.3g}, is more than {DIVERGED} times the images' own"
        raise diverged(f"{much} squares, {limit / DIVERGED:.3g},", settings, task, *where)


def diverged(what, settings, task, epoch, step):
    """The error that says what was seen in which step of which epoch, both from 0."""
    return DivergenceError(
        f"{what} in epoch {epoch + 1}, batch {step + 1}; lower learning_rate, which is "
        f"{settings.learning_rate:g}. {task.left.format(epoch)}"
    )
