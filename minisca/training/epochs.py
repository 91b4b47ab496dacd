"""A layer's `fit`: epoch after epoch, judged by validation images, told to callbacks, saved."""

import contextlib
import copy
import inspect
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from minisca import encoding
from minisca.backends import get_backend
from minisca.callbacks import EarlyStopping
from minisca.chunks import chunks
from minisca.communicators import as_communicator
from minisca.communicators.agreement import agree, described
from minisca.files.checkpoint import CheckpointError
from minisca.keeping import freed_after_errors
from minisca.training.arrivals import DeviceImages, images_for
from minisca.training.centring import centred
from minisca.training.divergence import DivergenceError
from minisca.training.fit import initial_state, resumed_state, train
from minisca.training.images import fingerprint
from minisca.training.scikit_learn import fit_tasks
from minisca.training.split import choose_split
from minisca.validation import check_resume, read_batch


class Watch(NamedTuple):
    """Who is told of every epoch, and the images (n, c, h, w) that judge it, or None."""

    callbacks: tuple = ()
    images: Any = None
    #: The fingerprint of the images, and the layer's number in a stack, from 1, or None.
    known: dict | None = None
    number: int | None = None

    @property
    def stoppers(self):
        """The callbacks that restore the best epoch."""
        return [each for each in self.callbacks if isinstance(each, EarlyStopping)]

    @property
    def settings(self):
        """What of it ranks must have in common: other callbacks are called on the first alone."""
        return {"EarlyStopping in callbacks": [vars(each) for each in self.stoppers]}


def make_watch(callbacks, validation_images, X, backend, dtype):
    """The Watch of a `fit` to images X; what is wrong with its arguments is raised by name.

    dtype: what the validation images are read as; they must be finite in it.
    """
    if not isinstance(callbacks, list | tuple):
        raise TypeError(f"callbacks is {callbacks!r}; it must be a list of callables")
    for place, callback in enumerate(callbacks):
        if not _takes(callback):
            must = "it must be callable as callback(layer, epoch, loss)"
            raise TypeError(f"callbacks[{place}] is {callback!r}; {must}")
    made = Watch(tuple(callbacks))
    if validation_images is None:
        for stopper in made.stoppers:
            must = f"{type(stopper).__name__} needs images that are not trained on"
            raise ValueError(f"validation_images is None; {must}")
        return made
    like = {"channels": X.shape[1], "size": X.shape[2:]}
    images = images_for(backend, validation_images, "validation_images", **like)
    if not isinstance(images, DeviceImages):  # whose pixels were looked at
        for rows in chunks(images.shape[0], 8 * math.prod(images.shape[1:])):
            read_batch(images, rows, dtype, "validation_images")
    return made._replace(images=images, known=fingerprint(images))


def _takes(callback):
    if not callable(callback) or isinstance(callback, type):
        return False
    try:
        inspect.signature(callback).bind(None, 1, 0.0)
    except TypeError:
        return False
    except ValueError:  # of what is written in C nothing is known
        return True
    return True


def fit(layer, X, checkpoint, resume, callbacks, validation_images, communicator):
    """See `SparseConvAutoencoder.fit`."""

    def check():
        layer.check_parameters()
        backend = get_backend(layer.backend)
        check_resume(resume, checkpoint)
        images = images_for(backend, X)
        watched = make_watch(callbacks, validation_images, images, backend, layer.dtype)
        return images, fingerprint(images), watched

    if communicator is None:
        images, known, watched = check()
        return fit_layer(layer, images, known, checkpoint, resume, watched)

    def describe():
        images, known, watched = checked = check()
        choose_split(ranks, layer, images.shape[1:])
        settings = layer.get_params(deep=False) | watched.settings
        return checked, described(settings, ranks, X=known, validation_images=watched.known)

    ranks = as_communicator(communicator)
    images, known, watched = agree(ranks, describe)
    return fit_layer(layer, images, known, checkpoint, resume, watched, ranks)


def fit_layer(layer, X, images, checkpoint, resume, watch, communicator=None):
    """`SparseConvAutoencoder.fit`, where all is checked but the pixels. Returns the layer.

    images: the fingerprint of the images to remember. watch: of `make_watch`. communicator: one of
    `minisca.communicators`, or None. Of several ranks the first tells callbacks, and saves.
    """
    first = communicator is None or communicator.is_first
    callbacks = watch.callbacks if first else ()
    freed = freed_after_errors(get_backend(layer.backend))
    told = _told(layer, X, watch, callbacks)
    with freed, told, fit_tasks(layer, X, layer.n_epochs, first) as tasks:
        begin = layer, X, images, checkpoint, resume, watch
        if communicator is None:
            layer.state_ = _state_to_begin_with(*begin)
        else:
            layer.state_ = communicator.from_first(_state_to_begin_with, *begin)
        done = layer.n_epochs_done_
        if not any(each.ends(layer.validation_loss_history_) for each in watch.stoppers):
            _train(layer, X, checkpoint, watch, callbacks, tasks, communicator)
        if layer.state_.best is not None:
            _restore_best(layer)
            if checkpoint is not None and first:
                layer.save(checkpoint)
    if layer.n_epochs_done_ > done and first:
        encoding.warn_of_dead_maps(*layer._checked(X))
    return layer


def _state_to_begin_with(layer, X, images, checkpoint, resume, watch):
    """The state of the file to resume from, or the initial one, which is saved."""
    known = images, watch.known
    state = resumed_state(checkpoint, layer, X, *known) if resume else None
    if state is not None:
        return _with_best(state, watch, checkpoint)
    state = replace(initial_state(layer, X, images), validation_images=watch.known)
    if checkpoint is not None:
        fresh = copy.copy(layer)  # where it cannot be saved, the layer is as it was
        fresh.state_ = state
        fresh.save(checkpoint)  # what lay there is of another run: not to resume from
    return state


def _train(layer, X, checkpoint, watch, callbacks, tasks, communicator):
    """The epochs that are left, until a callback ends them."""
    left = layer.n_epochs - layer.n_epochs_done_
    if left > 0:
        tasks.begin()
    name = "" if watch.number is None else f"layer {watch.number}, "
    for trained in train(layer.state_, layer, X, communicator=communicator, name=name):
        quiet = layer if communicator is None else communicator.quiet(layer)
        layer.state_ = _judged(trained, quiet, watch)
        left -= 1
        after = layer, callbacks, tasks, checkpoint
        ends = (
            _after_epoch(*after)
            if communicator is None
            else communicator.from_first(_after_epoch, *after)
        )
        if ends:
            break
        if left:
            tasks.begin()


def _after_epoch(layer, callbacks, tasks, checkpoint):
    """Tell the callbacks, then save; whether one of them ends the training."""
    state = layer.state_
    try:
        epoch, loss = state.n_epochs_done, state.loss_history[-1]
        ends = [_is_true(callback(layer, epoch, loss)) for callback in callbacks]
        ends.append(tasks.end(state_=state))
    finally:  # after the callbacks, so that a resumed fit leaves none out
        if checkpoint is not None:
            layer.save(checkpoint)
    return any(ends)


@contextlib.contextmanager
def _told(layer, X, watch, callbacks):
    """Within the block callbacks know of the layer's training."""
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            if hasattr(callback, "end"):
                stack.callback(callback.end)
            if hasattr(callback, "begin"):
                callback.begin(layer, X, watch.number)
        yield


def _is_true(answer):
    return isinstance(answer, bool | np.bool_) and bool(answer)


def _judged(trained, layer, watch):
    """The state after an epoch, with its loss of the validation images and the best one kept."""
    if watch.images is None:
        return trained
    before = layer.state_
    images = centred(watch.images, trained.centre)
    loss = -encoding.score(get_backend(layer.backend), trained, layer, images)
    if not math.isfinite(loss):
        left = f"the filters are those after epoch {before.n_epochs_done}"
        raise DivergenceError(f"the loss of validation_images became {loss}; {left}")
    history = before.validation_loss_history
    best = before.best
    if watch.stoppers and loss < min(history, default=math.inf):
        best = trained.parameters, trained.velocities
    return replace(trained, validation_loss_history=[*history, loss], best=best)


def _with_best(state, watch, path):
    """The state of a file, with the best epoch kept if that is wanted."""
    if not watch.stoppers:
        return replace(state, best=None)
    losses = state.validation_loss_history
    if state.best is not None or not losses:
        return state
    if state.best_epoch is None and losses.index(min(losses)) != len(losses) - 1:
        must = "callbacks must have none to resume from it"
        raise CheckpointError(f"{path} was trained without EarlyStopping; {must}")
    return replace(state, best=(state.parameters, state.velocities))


def _restore_best(layer):
    state, losses = layer.state_, layer.validation_loss_history_
    parameters, velocities = state.best
    epoch = state.n_epochs_done - len(losses) + losses.index(min(losses)) + 1
    learned = {"parameters": parameters, "velocities": velocities}
    layer.state_ = replace(state, **learned, best=None, best_epoch=epoch)
