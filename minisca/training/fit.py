"""Training: epochs of shuffled mini-batches, each done whole or not at all.

Stochastic gradient descent with momentum (paper section 2). `run_epochs` is the one loop, of layers
and baselines alike; `train` is a layer's training. What is trained stays where the backend
computes, and is the trainer's own: nobody sees it before its epoch is done.
"""

import functools
import math
import warnings
from dataclasses import replace

import numpy as np

from minisca.backends import CHOICES, get_backend, name_of
from minisca.backends.pool_windows import ORIGINS
from minisca.estimator import check_resumable
from minisca.files.checkpoint import CheckpointError, random_state_from_json
from minisca.keeping import freed_after_errors
from minisca.progress import progress
from minisca.sparsity import make_sparsity
from minisca.training.batches import Batches, sorted_batches
from minisca.training.centring import centred
from minisca.training.chunked import in_chunks
from minisca.training.divergence import check_loss, diverged, make_limit
from minisca.training.images import (
    channel_means,
    choose_unit,
    difference,
    measure_patch_energy,
)
from minisca.training.mapped import if_mapped
from minisca.training.objective import do_step
from minisca.training.optim import SCHEDULES, SGD, own_copies, scheduled_rate
from minisca.training.split import make_split
from minisca.training.start import STARTS, start_filters
from minisca.training.state import LayerState, in_unit, parameter_shapes
from minisca.training.steps import Steps, Task
from minisca.validation import (
    check_choice,
    check_flag,
    check_images,
    check_integer,
    check_number,
    check_room,
    check_seed,
    check_verbose,
)

#: Learning rate of an encoder's bias, as a fraction of `learning_rate`.
BIAS_RATE = 0.1


def run_epochs(settings, optimiser, task, random, epochs, title="epoch {}/{}"):
    """Yield what every epoch made: (mean loss of the items, parameters, velocities).

    settings: has n_epochs, batch_size, learning_rate, dtype and verbose. optimiser: SGD of arrays
    that are nobody else's, see `own_copies`. random: the generator of the items' order. epochs: a
    range, from 0. title: of the progress bar, with places for the epoch, from 1, and `n_epochs`.
    Parameters and velocities, {name: array}, are on the host, and the caller's to keep. Raises
    DivergenceError when the loss or a parameter stops being finite.
    """
    steps, total = Steps(optimiser, task), len(epochs) * task.n
    with progress(settings.verbose, total=total, unit=" images") as bar:
        for epoch in epochs:
            bar.set_description(title.format(epoch + 1, settings.n_epochs))
            order = random.permutation(task.n) if task.order is None else task.order(random)
            loss = run_epoch(settings, steps, task, order, epoch, bar)
            made = optimiser.on_host()
            yield loss, *made
            if epoch != epochs[-1]:  # what the caller has now must not change any more
                optimiser.keep_apart(made)


def run_epoch(settings, steps, task, order, epoch, bar):
    """One step a batch, the items in this order; returns the mean of their losses."""
    rows = sorted_batches(order, settings.batch_size)
    n_steps = settings.n_epochs * len(rows)
    rates = [task.rate(epoch * len(rows) + step, n_steps) for step in range(len(rows))]
    total, seen, largest = 0.0, 0, float(np.finfo(settings.dtype).max)
    # What overflows shows in the loss, which is looked at: no need to warn of it too.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for step, loss in enumerate(steps.run(rows, rates, epoch, bar)):
            total += loss * len(rows[step])
            seen += len(rows[step])
            bar.set_postfix(loss=f"{total / seen:.4g}", refresh=False)
            if not loss <= largest:  # NaN is not either
                raise diverged(f"the loss became {loss}", settings, task, epoch, step)
    mean = total / task.n
    check_loss(mean, settings, task, epoch, step)
    if not steps.optimiser.all_finite():
        raise diverged("the parameters stopped being finite", settings, task, epoch, step)
    return mean


def check_training_settings(settings):
    """Raise ValueError or TypeError for a bad setting of those that every training has."""
    check_integer("n_epochs", settings.n_epochs, minimum=0)
    check_integer("batch_size", settings.batch_size)
    check_number("learning_rate", settings.learning_rate, low_open=True)
    check_number("momentum", settings.momentum, 0, 1, high_open=True)
    check_choice("dtype", settings.dtype, ("float32", "float64"))
    check_choice("backend", settings.backend, CHOICES)
    check_seed(settings.random_state)
    check_verbose(settings.verbose)


def check_architecture(settings):
    """Raise ValueError or TypeError for a bad size of maps, filters or pooling."""
    for name in ("n_maps", "pool_width", "pool_stride"):
        check_integer(name, getattr(settings, name))
    check_integer("filter_width", settings.filter_width, odd=True)


# Layers -------------------------------------------------------------------------------------


def check_layer_settings(settings):
    """Raise ValueError or TypeError for a bad argument of a layer's constructor."""
    check_training_settings(settings)
    check_architecture(settings)
    check_choice("pool_origin", settings.pool_origin, ORIGINS)
    check_number("encoding_bias", settings.encoding_bias)
    if settings.encoding_contrast is not None:
        check_number("encoding_contrast", settings.encoding_contrast, low_open=True)
    check_integer("warmup_steps", settings.warmup_steps, minimum=0)
    check_number("init_scale", settings.init_scale, low_open=True)
    for name in ("tied", "centre"):
        check_flag(name, getattr(settings, name))
    check_choice("schedule", settings.schedule, tuple(SCHEDULES))
    check_choice("init_filters", settings.init_filters, STARTS)
    make_sparsity(settings.sparsity, settings.n_active, settings.lifetime)


def initial_state(settings, X, images=None):
    """The LayerState before the first epoch on images X (n, c, h, w), of fingerprint `images`.

    Raises ValueError for pixels that are not finite, or too large, and where filters that are to
    start from patches are larger or more than those.
    """
    centre = None
    if settings.centre:
        centre = channel_means(X, settings.dtype, get_backend(settings.backend))
    X = centred(X, centre)
    energy = measure_patch_energy(settings, X)
    random = np.random.default_rng(settings.random_state)
    n_channels, *size = (int(side) for side in X.shape[1:])
    shapes = parameter_shapes(settings, n_channels)
    if settings.tied:
        del shapes["decoder_filters"]
    check_room("n_maps or filter_width", shapes["encoder_filters"])
    parameters = {name: np.zeros(shape, settings.dtype) for name, shape in shapes.items()}
    start_filters(parameters, settings, X, random)
    velocities = {name: np.zeros_like(value) for name, value in parameters.items()}
    random_state = random.bit_generator.state
    shape = n_channels, tuple(size)
    learned = parameters, velocities, random_state, *shape, energy
    return LayerState(*learned, images=images, centre=centre)


def train(state, settings, X, one_pass=False, communicator=None, name=""):
    """Train a layer on with images X (n, c, h, w); yield its LayerState after every epoch.

    state: where training stands; it is not changed. settings: the layer, whose constructor's
    arguments are checked. With `one_pass` it is one epoch at the constant rate, else those left of
    `n_epochs`. communicator: of the ranks that share the steps, one of `minisca.communicators`, or
    None. name: what progress bars begin with. Raises DivergenceError as `run_epochs`, ValueError
    for pixels that are not finite.
    """
    backend = get_backend(settings.backend)
    with freed_after_errors(backend):
        yield from _trained(backend, state, settings, X, one_pass, communicator, name)


def _trained(backend, state, settings, X, one_pass, communicator, name):
    """See `train`."""
    done = state.n_epochs_done
    epochs = range(done, done + 1) if one_pass else range(done, settings.n_epochs)
    if not epochs:
        return
    images = if_mapped(in_chunks(X))
    X = centred(images, state.centre)
    known = state.patch_energy
    new = one_pass and state.n_epochs_done > 0  # images that were not measured
    if new and (not known or settings.dtype == "float64"):  # whose squares may be beyond float64
        measured, new = measure_patch_energy(settings, X), False
        known = max(known, measured)
        if not state.patch_energy:  # there were no images yet that have any
            state = replace(state, patch_energy=measured)
    unit = choose_unit(state.patch_energy, settings, state.n_channels)
    sparsity = make_sparsity(settings.sparsity, settings.n_active, settings.lifetime)
    scaled = backend, in_unit(state, unit), settings
    if communicator is None:
        optimiser = make_optimiser(*scaled)
    else:
        optimiser = make_split(communicator, *scaled, make_optimiser)
        settings = communicator.quiet(settings)
    random = random_state_from_json(state.random_state)

    def rate(step, n_steps):
        if one_pass:
            return settings.learning_rate
        warm_up_and_schedule = settings.warmup_steps, settings.schedule
        return scheduled_rate(settings.learning_rate, step, n_steps, *warm_up_and_schedule)

    def step(x, _, learning_rate):
        return do_step(optimiser, sparsity, x, learning_rate)

    batches = Batches(backend, X, settings.dtype, unit)
    norm_per_energy = unit**2 * math.prod(state.image_size) / settings.filter_width**2
    measure = functools.partial(measure_patch_energy, settings, X) if new else None
    limit = make_limit(known, norm_per_energy, measure)
    order = getattr(images, "order", None)
    task = Task(X.shape[0], batches.read, step, rate, order, limit)
    title = name + name_of(backend) + ("" if one_pass else ", epoch {}/{}")
    if communicator is not None:
        task = task._replace(read=optimiser.read(batches.read), step=optimiser.step)
        title = f"{title}, {optimiser.title}"
    elif batches.resident:
        task = task._replace(items=batches.images, make_batch=batches.scaled)
    made = run_epochs(settings, optimiser, task, random, epochs, title)
    for loss, parameters, velocities in made:
        trained = replace(state, parameters=parameters, velocities=velocities)
        state = replace(
            in_unit(trained, 1 / unit),
            patch_energy=state.patch_energy,
            random_state=random.bit_generator.state,
            loss_history=[*state.loss_history, loss / unit**2],
            n_epochs_done=state.n_epochs_done + 1,
            **{"best": None, "best_epoch": None},
        )
        yield state


def resumed_state(path, layer, X, images, validation_images=None):
    """The LayerState saved at `path`, to train `layer` on with images X; None without a file.

    images, validation_images: the fingerprints of those that training began with, the latter None
    without any.

    Raises CheckpointError for another or a damaged file, for other settings and for other images,
    ValueError for images of another size. Warns of a file that does not say what images it is of.
    """
    try:
        saved = type(layer).load(path)
    except FileNotFoundError:
        return None
    saved.state_.check_trainable(path, CheckpointError)
    check_resumable(path, layer, saved, but=("verbose", "backend", "flat"))
    check_images(X, channels=saved.n_channels_, size=saved.image_size_)
    if saved.state_.images is None:
        warnings.warn(f"{path} does not say what images it was trained on: resumed", stacklevel=5)
    elif differs := difference(saved.state_.images, images):
        raise CheckpointError(f"{path} was trained on other images: {differs}")
    _check_same_validation(path, saved.state_.validation_images, validation_images)
    return saved.state_


def _check_same_validation(path, theirs, mine):
    """Raise CheckpointError unless two fingerprints of validation images, or None, are the same."""
    if (theirs is None) != (mine is None):
        how, must = ("without", "None") if theirs is None else ("with", "given")
        why = f"was trained {how} validation_images, which must be {must} to resume from it"
        raise CheckpointError(f"{path} {why}")
    if mine is not None and (differs := difference(theirs, mine)):
        raise CheckpointError(f"{path} was trained with other validation_images: {differs}")


def make_optimiser(backend, state, settings):
    """SGD at rates that suit any scale of the images and any size of the filters.

    Along a filter the loss is curved as the squared norm of the patches it meets, along the
    encoder's bias as 1, along the decoder's bias as the number of pixels that pull at it.
    """
    of_filters = 1 / (state.patch_energy or 1)
    return SGD(
        backend,
        own_copies(backend, state.parameters),
        settings.momentum,
        own_copies(backend, state.velocities),
        rate_scales={
            "encoder_filters": of_filters,
            "encoder_bias": BIAS_RATE,
            "decoder_filters": of_filters,
            "decoder_bias": 1 / math.prod(state.image_size),
        },
    )
