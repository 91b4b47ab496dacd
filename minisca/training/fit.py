"""How a layer is trained: epochs of shuffled mini-batches, each done whole or not at all.

Stochastic gradient descent with momentum (paper section 2), with a
checkpoint after every epoch from which training goes on to the very same parameters.

What is trained stays where the backend computes; the estimator's own arrays are the host's, and
are brought up to date when an epoch is done.
"""

import math

import numpy as np

from minisca.backends import get_backend, name_of
from minisca.training.batches import Batches
from minisca.training.objective import loss_and_gradients, squared_norm
from minisca.training.optim import SGD, scheduled_rate
from minisca.validation import check_images, read_batch

#: Learning rate of the encoder's bias, as a fraction of `learning_rate`.
BIAS_RATE = 0.1


class DivergenceError(ArithmeticError):
    """The loss stopped being finite; the estimator holds the last good state."""


class Training:
    """`fit` and `partial_fit` of `SparseConvAutoencoder`."""

    def fit(self, X, y=None, checkpoint=None, resume=False):
        """Train from fresh filters on images X (n, c, h, w); y is ignored. Returns self.

        X may be any array that slices along its first axis (a memory map, an HDF5 data set): a
        batch is read at a time. With `checkpoint`, a path, the state is saved there before the
        first epoch and after every one; with `resume` as well, training goes on from that file if
        it exists, to the very parameters that an uninterrupted fit would have reached. An epoch
        that is interrupted leaves everything as it was before it.

        Raises ValueError or TypeError for bad images or parameters, DivergenceError when the loss
        stops being finite, CheckpointError if the file to resume from does not fit, ImportError or
        RuntimeError if the backend does not run on this machine.
        """
        self._check_parameters()
        backend = get_backend(self.backend)
        if resume and checkpoint is None:
            raise ValueError("checkpoint is None; with resume it must be the path to resume from")
        X = check_images(X)
        resumed = resume and self._resume(checkpoint, X)
        if not resumed:
            self._initialise(X)
        optimiser = self._optimiser(backend)
        if checkpoint is not None and not resumed:
            self.save(checkpoint)  # what lay there is of another run: nothing may resume from it
        steps = -(-X.shape[0] // self.batch_size)
        epochs_left = max(0, self.n_epochs - self.n_epochs_done_)
        if not epochs_left:
            return self
        batches = Batches(backend, X, self.dtype)
        with self._bar(total=epochs_left * steps, unit="batch") as bar:
            for epoch in range(self.n_epochs_done_, self.n_epochs):
                bar.set_description(f"{name_of(backend)}, epoch {epoch + 1}/{self.n_epochs}")
                rates = [
                    scheduled_rate(
                        self.learning_rate,
                        epoch * steps + step,
                        self.n_epochs * steps,
                        self.warmup_steps,
                        self.schedule,
                    )
                    for step in range(steps)
                ]
                self._run_epoch(X.shape[0], batches, optimiser, rates, bar)
                if checkpoint is not None:
                    self.save(checkpoint)
        return self

    def partial_fit(self, X, y=None):
        """One pass over images X at the constant learning rate, from where training stands.

        Starts from fresh filters if nothing was fitted yet. Returns self. Raises as `fit` does.
        """
        self._check_parameters()
        backend = get_backend(self.backend)
        if not hasattr(self, "encoder_filters_"):
            self._initialise(check_images(X))
        self._check_trained_as_set()
        X = check_images(X, channels=self.n_channels_, size=self.image_size_)
        optimiser = self._optimiser(backend)
        batches = Batches(backend, X, self.dtype)
        steps = -(-X.shape[0] // self.batch_size)
        with self._bar(total=steps, unit="batch", desc=name_of(backend)) as bar:
            rates = [self.learning_rate] * steps
            self._run_epoch(X.shape[0], batches, optimiser, rates, bar)
        return self

    def _optimiser(self, backend):
        """SGD at rates that suit any scale of the images and any size of the filters.

        Along a filter the loss is curved as the squared norm of the patches it meets, along the
        encoder's bias as 1, along the decoder's bias as the number of pixels that pull at it.
        """
        height, width = self.image_size_
        of_filters = 1 / self.patch_energy_
        parameters = self._trained_parameters()
        if self._velocities is None:
            self._velocities = {name: np.zeros_like(value) for name, value in parameters.items()}
        return SGD(
            backend,
            {name: backend.to_device(value) for name, value in parameters.items()},
            self.momentum,
            {name: backend.to_device(value) for name, value in self._velocities.items()},
            rate_scales={
                "encoder_filters": of_filters,
                "encoder_bias": BIAS_RATE,
                "decoder_filters": of_filters,
                "decoder_bias": 1 / (height * width),
            },
            normalised=self._normalised(),
        )

    def _normalised(self):
        """The names of the filters that every step leaves at length 1: the decoder's."""
        if not self.normalise_filters:
            return ()
        return ("encoder_filters",) if self.tied else ("decoder_filters",)

    def _take_over(self, optimiser):
        """What the optimiser has learned becomes the estimator's own, on the host."""
        parameters, velocities = (
            {name: optimiser.backend.to_host(value) for name, value in arrays.items()}
            for arrays in (optimiser.parameters, optimiser.velocities)
        )
        for name, value in parameters.items():
            setattr(self, f"{name}_", value)
        if self.tied:
            self.decoder_filters_ = self.encoder_filters_
        self._velocities = velocities

    def _run_epoch(self, n, batches, optimiser, rates, bar):
        """One shuffled pass over n images; if anything stops it, all is as it was before it."""
        random_state = self._random.bit_generator.state
        try:
            with optimiser.all_or_nothing():
                total = self._pass_over(n, batches, optimiser, rates, bar)
                self._take_over(optimiser)
        except BaseException:
            self._random.bit_generator.state = random_state
            raise
        self.loss_history_.append(total / n)
        self.n_epochs_done_ += 1

    def _pass_over(self, n, batches, optimiser, rates, bar):
        """One step a batch, in a new random order; returns the sum of the images' losses."""
        backend, sparsity = optimiser.backend, self._sparsity()
        parameters = dict(optimiser.parameters)
        parameters.setdefault("decoder_filters", parameters["encoder_filters"])  # tied
        order = self._random.permutation(n)
        total = 0.0
        for step, x in enumerate(batches.in_order(order, self.batch_size)):
            # What overflows shows in the loss, which is looked at: no need to warn of it too.
            with np.errstate(over="ignore", invalid="ignore"):
                loss, gradients = loss_and_gradients(backend, sparsity, parameters, x)
                optimiser.step(gradients, rates[step])
            del gradients  # its memory is the next step's
            total += loss * x.shape[0]
            if not loss <= float(np.finfo(self.dtype).max):  # NaN is not either
                self._diverged(f"the loss became {loss}", step)
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        if not all(map(backend.all_finite, optimiser.parameters.values())):
            self._diverged("the parameters stopped being finite", step)
        return total

    def _diverged(self, what, step):
        raise DivergenceError(
            f"{what} in epoch {self.n_epochs_done_ + 1}, batch {step + 1}; "
            f"lower learning_rate, which is {self.learning_rate:g}. "
            f"The filters are those after epoch {self.n_epochs_done_}"
        )

    def _initialise(self, X):
        self.patch_energy_ = self._measure_patch_energy(X)  # first: it may refuse the images
        self._random = np.random.default_rng(self.random_state)
        self.n_channels_ = int(X.shape[1])
        self.image_size_ = (int(X.shape[2]), int(X.shape[3]))
        shape = (self.n_maps, self.n_channels_, self.filter_width, self.filter_width)
        self.encoder_filters_ = self._draw_filters(shape)
        self.decoder_filters_ = self.encoder_filters_ if self.tied else self._draw_filters(shape)
        if self.normalise_filters:  # on the host, where they are: the same start everywhere
            get_backend("cpu").normalise_filters_(self.decoder_filters_)
        bias = float(self.init_bias) * self._initial_size(shape)
        self.encoder_bias_ = np.full(self.n_maps, bias, self.dtype)
        self.decoder_bias_ = np.zeros(self.n_channels_, self.dtype)
        self.loss_history_ = []
        self.n_epochs_done_ = 0
        self._velocities = None

    def _initial_size(self, shape):
        """Root mean square of what the initial encoder filters, of this shape, make of patches."""
        shared = self.tied and self.normalise_filters
        scale = 1 / math.sqrt(math.prod(shape[1:])) if shared else self.init_scale
        return scale * math.sqrt(self.patch_energy_)

    def _measure_patch_energy(self, X):
        """Mean squared norm of a c x k x k patch, over up to 1,000 images spread over X."""
        n, _, height, width = X.shape
        rows = np.unique(np.linspace(0, n - 1, min(1000, n)).astype(np.int64))
        total = 0.0
        for start in range(0, len(rows), self.batch_size):
            with np.errstate(over="ignore"):
                batch = rows[start : start + self.batch_size]
                total += squared_norm(read_batch(X, batch, self.dtype))
        energy = total / (len(rows) * height * width) * self.filter_width**2
        if not np.isfinite(energy):
            raise ValueError("X has values whose squares are too large for float64; scale it down")
        return energy or 1.0

    def _draw_filters(self, shape):
        filters = np.empty(shape, self.dtype)
        for own in filters:  # a deep layer's, drawn at once in float64, would take long to allocate
            own[...] = self.init_scale * self._random.standard_normal(shape[1:])
        return filters
