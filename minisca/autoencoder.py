"""SparseConvAutoencoder: one layer, trained by winner-take-all (paper section 2).

Training keeps the survivors of the sparsity rule alone; encoding turns the rule off and max-pools.
"""

import numpy as np
from tqdm import tqdm

from minisca.backends import get_backend
from minisca.checkpoint import (
    CheckpointError,
    load_checkpoint,
    random_state_from_json,
    random_state_to_json,
    require,
    save_checkpoint,
)
from minisca.estimator import Estimator
from minisca.objective import loss_and_gradients, reconstruct, squared_norm
from minisca.optim import SGD, scheduled_rate
from minisca.sparsity import make_sparsity
from minisca.validation import (
    check_choice,
    check_fitted,
    check_flag,
    check_images,
    check_integer,
    check_number,
    check_out,
    read_batch,
)

#: Images that are encoded at a time outside training.
ENCODE_BATCH = 256

#: Learning rate of the encoder's bias, as a fraction of `learning_rate`.
BIAS_RATE = 0.1

PARAMETERS = ("encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias")


class DivergenceError(ArithmeticError):
    """The loss stopped being finite; the estimator holds the last good state."""


class SparseConvAutoencoder(Estimator):
    """A convolutional autoencoder made sparse by what is allowed to survive in its feature maps.

    Parameters
    ----------
    n_maps : int, default 128
        Feature maps m.
    filter_width : odd int, default 7
        Side k of the square filters. Maps keep the image's size (zero padding k // 2).
    pool_width, pool_stride : int, default 5 and 3
        Overlapping max-pooling after training; a side of `size` becomes ceil(size / pool_stride).
    encoding_bias : float, default 1
        Factor on the encoder's bias in `transform` and `feature_maps`; 1 is the paper's encoding.
        Training drives the biases below zero, which silences what competes with a winner. With
        few maps the classifier is better served by denser features (16 maps: 0.5).
    sparsity : str, default "winner-take-all"
        What survives while training: "winner-take-all", the largest unit of each map; "top-n", the
        `n_active` largest of each map; "k-largest", the `n_active` largest of the image, whatever
        their map; "none", every unit.
    n_active : int or None
        For "top-n" and "k-largest" only.
    lifetime : float in (0, 1] or None
        With "winner-take-all": of each map's winners over a mini-batch only this fraction, the
        largest, survive.
    tied : bool, default False
        Decoder filters are the encoder's (W = P).
    n_epochs, batch_size : int
        Passes over the images, and images a step.
    learning_rate : float
        Of stochastic gradient descent on the mean over a batch of ||x_hat - x||^2. After the
        warm-up it falls linearly to 0. It is relative: the filters' rate is
        `learning_rate / patch_energy_`, so that a good value stays good for images of any scale
        and filters of any size (MNIST, 7 x 7: about a fifth of it). The encoder bias gets a tenth
        of it, the decoder bias, at which every pixel pulls, its quotient by the number of pixels.
    warmup_steps : int, default 1000
        Steps over which the learning rate rises from 0, at most a fifth of all. Without it, rates
        that end well begin by driving biases so low that maps fall silent for good.
    momentum : float in [0, 1)
    init_scale : float
        Standard deviation of the initial filters; biases start at 0.
    random_state : int or None
        Seed of the initial filters and the order of the images. None: different every time.
    backend : str, default "auto"
    dtype : "float32" (default) or "float64"
        What images are converted to and everything is computed in.
    verbose : bool, default True
        Progress bars, where standard error is a terminal.

    Attributes
    ----------
    encoder_filters_, decoder_filters_ : arrays (m, c, k, k), P and W; PyTorch's layout
    encoder_bias_ : array (m,);  decoder_bias_ : array (c,)
    patch_energy_ : float
        Mean squared norm of the c x k x k patches of the images that training began with.
    loss_history_ : list of float
        Mean of ||x_hat - x||^2 over each epoch, measured on the batches while training.
    n_channels_, image_size_ : int, and (height, width) of the images seen in `fit`
    n_epochs_done_ : int
    """

    _estimator_type = "transformer"

    def __init__(
        self,
        n_maps=128,
        filter_width=7,
        pool_width=5,
        pool_stride=3,
        encoding_bias=1.0,
        sparsity="winner-take-all",
        n_active=None,
        lifetime=None,
        tied=False,
        n_epochs=15,
        batch_size=100,
        learning_rate=0.1,
        warmup_steps=1000,
        momentum=0.9,
        init_scale=0.01,
        random_state=None,
        backend="auto",
        dtype="float32",
        verbose=True,
    ):
        self.n_maps = n_maps
        self.filter_width = filter_width
        self.pool_width = pool_width
        self.pool_stride = pool_stride
        self.encoding_bias = encoding_bias
        self.sparsity = sparsity
        self.n_active = n_active
        self.lifetime = lifetime
        self.tied = tied
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.momentum = momentum
        self.init_scale = init_scale
        self.random_state = random_state
        self.backend = backend
        self.dtype = dtype
        self.verbose = verbose

    # training ---------------------------------------------------------------------------

    def fit(self, X, y=None, checkpoint=None, resume=False):
        """Train from fresh filters on images X (n, c, h, w); y is ignored. Returns self.

        X may be any array that slices along its first axis (a memory map, an HDF5 data set): a
        batch is read at a time. With `checkpoint`, a path, the state is saved there before the
        first epoch and after every one; with `resume` as well, training goes on from that file if
        it exists, to the very parameters that an uninterrupted fit would have reached. An epoch
        that is interrupted leaves everything as it was before it.

        Raises ValueError or TypeError for bad images or parameters, DivergenceError when the loss
        stops being finite, CheckpointError if the file to resume from does not fit.
        """
        self._check_parameters()
        if resume and checkpoint is None:
            raise ValueError("checkpoint is None; with resume it must be the path to resume from")
        X = check_images(X)
        resumed = resume and self._resume(checkpoint, X)
        if not resumed:
            self._initialise(X)
        optimiser = self._optimiser(self._velocities)
        if checkpoint is not None and not resumed:
            self.save(checkpoint)  # what lay there is of another run: nothing may resume from it
        steps = -(-X.shape[0] // self.batch_size)
        epochs_left = max(0, self.n_epochs - self.n_epochs_done_)
        with self._bar(total=epochs_left * steps, unit="batch") as bar:
            for epoch in range(self.n_epochs_done_, self.n_epochs):
                bar.set_description(f"epoch {epoch + 1}/{self.n_epochs}")
                rates = [
                    scheduled_rate(
                        self.learning_rate,
                        epoch * steps + step,
                        self.n_epochs * steps,
                        self.warmup_steps,
                    )
                    for step in range(steps)
                ]
                self._run_epoch(X, optimiser, rates, bar)
                if checkpoint is not None:
                    self.save(checkpoint)
        return self

    def partial_fit(self, X, y=None):
        """One pass over images X at the constant learning rate, from where training stands.

        Starts from fresh filters if nothing was fitted yet. Returns self. Raises as `fit` does.
        """
        self._check_parameters()
        if not hasattr(self, "encoder_filters_"):
            self._initialise(check_images(X))
        self._check_trained_as_set()
        X = check_images(X, channels=self.n_channels_, size=self.image_size_)
        optimiser = self._optimiser(self._velocities)
        steps = -(-X.shape[0] // self.batch_size)
        with self._bar(total=steps, unit="batch") as bar:
            self._run_epoch(X, optimiser, [self.learning_rate] * steps, bar)
        return self

    def _optimiser(self, velocities):
        """SGD at rates that suit any scale of the images and any size of the filters.

        Along a filter the loss is curved as the squared norm of the patches it meets, along the
        encoder's bias as 1, along the decoder's bias as the number of pixels that pull at it.
        """
        height, width = self.image_size_
        of_filters = 1 / self.patch_energy_
        optimiser = SGD(
            get_backend(self.backend),
            self._trained_parameters(),
            self.momentum,
            velocities,
            rate_scales={
                "encoder_filters": of_filters,
                "encoder_bias": BIAS_RATE,
                "decoder_filters": of_filters,
                "decoder_bias": 1 / (height * width),
            },
        )
        self._velocities = optimiser.velocities
        return optimiser

    def _run_epoch(self, X, optimiser, rates, bar):
        """One shuffled pass over X; whatever stops it, everything is then as it was before it."""
        arrays = [*optimiser.parameters.values(), *optimiser.velocities.values()]
        before = [array.copy() for array in arrays]
        random_state = self._random.bit_generator.state
        try:
            total = self._pass_over(X, optimiser, rates, bar)
        except BaseException:
            for array, value in zip(arrays, before, strict=True):
                array[...] = value
            self._random.bit_generator.state = random_state
            raise
        self.loss_history_.append(total / X.shape[0])
        self.n_epochs_done_ += 1

    def _pass_over(self, X, optimiser, rates, bar):
        """One step a batch, in a new random order; returns the sum of the images' losses."""
        sparsity = self._sparsity()
        order = self._random.permutation(X.shape[0])
        total = 0.0
        for step, rate in enumerate(rates):
            rows = np.sort(order[step * self.batch_size : (step + 1) * self.batch_size])
            x = read_batch(X, rows, self.dtype)
            # What overflows shows in the loss, which is looked at: no need to warn of it too.
            with np.errstate(over="ignore", invalid="ignore"):
                loss, gradients = loss_and_gradients(
                    optimiser.backend, sparsity, self._parameters(), x
                )
                optimiser.step(gradients, rate)
            total += loss * len(rows)
            if not loss <= float(np.finfo(self.dtype).max):  # NaN is not either
                self._diverged(f"the loss became {loss}", step)
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        if not all(np.isfinite(value).all() for value in optimiser.parameters.values()):
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
        self.encoder_bias_ = np.zeros(self.n_maps, self.dtype)
        self.decoder_bias_ = np.zeros(self.n_channels_, self.dtype)
        self.loss_history_ = []
        self.n_epochs_done_ = 0
        self._velocities = None

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
        return (self.init_scale * self._random.standard_normal(shape)).astype(self.dtype)

    # encoding ---------------------------------------------------------------------------

    def transform(self, X, out=None):
        """Features of images X (n, c, h, w): convolution, ReLU, overlapping max-pooling.

        Returns (n, m, ceil(h / pool_stride), ceil(w / pool_stride)) of the estimator's dtype, or
        `out`, an array of that shape (float16 or a memory map, say) that is filled instead. Raises
        NotFittedError before `fit`, ValueError or TypeError for images unlike those of `fit`.
        """

        def encode(backend, x):
            return backend.encode_pooled(
                x, self.encoder_filters_, bias, self.pool_width, self.pool_stride
            )

        X = self._check_new(X)
        bias = float(self.encoding_bias) * self.encoder_bias_
        sides = [-(-side // self.pool_stride) for side in X.shape[2:]]
        shape = (X.shape[0], len(self.encoder_filters_), *sides)
        out = np.empty(shape, self._trained_dtype) if out is None else check_out(out, shape)
        for rows, features in self._by_batch(X, encode, "encoding"):
            out[rows] = features
        return out

    def fit_transform(self, X, y=None, **fit_options):
        """`fit(X, y, **fit_options)`, then `transform(X)`."""
        return self.fit(X, y, **fit_options).transform(X)

    def feature_maps(self, X):
        """ReLU feature maps before pooling: (n, m, h, w). Large: m times the size of X."""

        def encode(backend, x):
            return backend.relu(backend.conv2d(x, self.encoder_filters_, bias))

        X = self._check_new(X)
        bias = float(self.encoding_bias) * self.encoder_bias_
        return np.concatenate([maps for _, maps in self._by_batch(X, encode, "feature maps")])

    def winners(self, X):
        """The largest unit of every map of every image, whatever the sparsity rule.

        Returns values (n, m), 0 where a map has no positive unit, and positions (n, m) int32,
        row-major (row * width + column).
        """

        def encode(backend, x):
            return backend.encode_winners(x, self.encoder_filters_, self.encoder_bias_)

        X = self._check_new(X)
        codes = [code for _, code in self._by_batch(X, encode, "winners")]
        values, positions = zip(*codes, strict=True)
        return np.concatenate(values), np.concatenate(positions)

    def reconstruct(self, X):
        """Images (n, c, h, w) rebuilt from what the sparsity rule lets survive.

        Lifetime sparsity, which depends on the batch, is left out.
        """
        X = self._check_new(X)
        return np.concatenate(
            [x_hat for _, x_hat in self._by_batch(X, self._rebuild, "reconstructing")]
        )

    def _rebuild(self, backend, x):
        return reconstruct(backend, self._sparsity()._replace(lifetime=None), self._parameters(), x)

    def score(self, X, y=None):
        """Minus the mean over images of ||x_hat - x||^2: the larger, the better."""
        X = self._check_new(X)
        total = 0.0
        for rows, x_hat in self._by_batch(X, self._rebuild, "scoring"):
            total += squared_norm(x_hat - read_batch(X, rows, self._trained_dtype))
        return -total / X.shape[0]

    def usage(self, X):
        """Fraction of the images X in which each map has a survivor: (m,) float64.

        A map that hardly ever has one is dead (paper section 2.1, "dead filters").
        """
        X = self._check_new(X)
        sparsity = self._sparsity()._replace(lifetime=None)

        def active(backend, x):
            arguments = (x, self.encoder_filters_, self.encoder_bias_)
            if sparsity.rule == "none":
                return backend.encode_winners(*arguments)[0] > 0
            values, _, maps = sparsity.encode(backend, *arguments)
            if maps is None:
                return values > 0
            found = np.zeros((len(x), len(self.encoder_filters_)), bool)
            images, slots = np.nonzero(values > 0)
            found[images, maps[images, slots]] = True
            return found

        counts = sum(found.sum(axis=0) for _, found in self._by_batch(X, active, "usage"))
        return counts / X.shape[0]

    def loss_and_gradients(self, X):
        """Mean over images X of ||x_hat - x||^2 and its gradients, by parameter name.

        Returns (float, {"encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias"}), the
        gradients shaped as the parameters; with tied weights the filters' whole gradient stands
        under "encoder_filters" and there is no "decoder_filters".
        """
        X = self._check_new(X)
        x = read_batch(X, slice(0, X.shape[0]), self._trained_dtype)
        return loss_and_gradients(
            get_backend(self.backend), self._sparsity(), self._parameters(), x
        )

    def _by_batch(self, X, function, description):
        """Yield (rows, function(backend, images)) over X, with a progress bar if it takes long."""
        backend = get_backend(self.backend)
        n = X.shape[0]
        with self._bar(total=n, unit="image", desc=description, delay=2) as bar:
            for start in range(0, n, ENCODE_BATCH):
                rows = slice(start, min(start + ENCODE_BATCH, n))
                yield rows, function(backend, read_batch(X, rows, self._trained_dtype))
                bar.update(rows.stop - rows.start)

    # saving -----------------------------------------------------------------------------

    def save(self, path):
        """Write the layer, and where its training stands, to `path` (.npz, no pickle), atomically.

        Raises NotFittedError before `fit`, ValueError if a parameter that shapes the filters was
        changed after it.
        """
        check_fitted(self, "encoder_filters_")
        self._check_trained_as_set()
        save_checkpoint(path, type(self).__name__, *self.state())

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. Raises CheckpointError for any other or a damaged file."""
        arrays, settings = load_checkpoint(path, cls.__name__)
        return cls.from_state(path, arrays, settings)

    def state(self):
        """Everything learned, as arrays and settings that a checkpoint holds."""
        arrays = {name: getattr(self, f"{name}_") for name in PARAMETERS}
        arrays["loss_history"] = np.asarray(self.loss_history_, np.float64)
        for name, velocity in (self._velocities or {}).items():
            arrays[f"velocity/{name}"] = velocity
        settings = {
            "parameters": self.get_params(deep=False),
            "image_size": list(self.image_size_),
            "n_epochs_done": self.n_epochs_done_,
            "patch_energy": self.patch_energy_,
            "random_state": random_state_to_json(self._random),
        }
        return arrays, settings

    @classmethod
    def from_state(cls, path, arrays, settings):
        """The layer that `state` described; `path` is named in error messages."""
        names = ("parameters", "image_size", "n_epochs_done", "patch_energy", "random_state")
        require(path, {}, {}, settings, names)
        try:
            layer = cls(**settings["parameters"])
            layer._check_parameters()
            layer._random = random_state_from_json(settings["random_state"])
            layer.image_size_ = tuple(
                check_integer("image_size", s) for s in settings["image_size"]
            )
            if len(layer.image_size_) != 2:
                raise ValueError(f"image_size is {layer.image_size_}; it must be (height, width)")
            layer.n_epochs_done_ = check_integer("n_epochs_done", settings["n_epochs_done"], 0)
            energy = check_number("patch_energy", settings["patch_energy"], low_open=True)
            layer.patch_energy_ = energy
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path} has settings that do not fit: {error}") from error
        filters = (layer.n_maps, "channels", layer.filter_width, layer.filter_width)
        shapes = {
            "encoder_filters": filters,
            "encoder_bias": (layer.n_maps,),
            "decoder_filters": filters,
            "decoder_bias": ("channels",),
        }
        velocities = {f"velocity/{name}": shape for name, shape in shapes.items()}
        if layer.tied:
            del velocities["velocity/decoder_filters"]
        if any(name in arrays for name in velocities):  # there is none before the first step
            shapes |= velocities
        sizes = require(path, arrays, shapes | {"loss_history": (layer.n_epochs_done_,)})
        for name in (*shapes, "loss_history"):
            dtype = "float64" if name == "loss_history" else layer.dtype
            if arrays[name].dtype != dtype:
                raise CheckpointError(
                    f"{path}: array {name!r} has dtype {arrays[name].dtype}; it must be {dtype}"
                )
        layer.n_channels_ = sizes["channels"]
        for name in PARAMETERS:
            setattr(layer, f"{name}_", arrays[name])
        if layer.tied:
            layer.decoder_filters_ = layer.encoder_filters_
        layer.loss_history_ = arrays["loss_history"].tolist()
        trained = layer._trained_parameters()
        layer._velocities = None
        if velocities.keys() <= shapes.keys():
            layer._velocities = {name: arrays[f"velocity/{name}"] for name in trained}
        return layer

    def _resume(self, path, X):
        """Take over the state saved at `path`; False if there is no such file."""
        try:
            saved = type(self).load(path)
        except FileNotFoundError:
            return False
        free = ("verbose", "backend")
        mine, theirs = self.get_params(deep=False), saved.get_params(deep=False)
        for name in mine:
            if name not in free and mine[name] != theirs[name]:
                raise CheckpointError(
                    f"{path} was trained with {name}={theirs[name]!r}; to resume from it, "
                    f"{name} must be that, not {mine[name]!r}"
                )
        check_images(X, channels=saved.n_channels_, size=saved.image_size_)
        for name, value in vars(saved).items():
            if name not in mine:
                setattr(self, name, value)
        return True

    # shared -----------------------------------------------------------------------------

    def _check_parameters(self):
        check_integer("n_maps", self.n_maps)
        check_integer("filter_width", self.filter_width, odd=True)
        check_integer("pool_width", self.pool_width)
        check_integer("pool_stride", self.pool_stride)
        check_number("encoding_bias", self.encoding_bias)
        check_integer("n_epochs", self.n_epochs, minimum=0)
        check_integer("batch_size", self.batch_size)
        check_number("learning_rate", self.learning_rate, low_open=True)
        check_integer("warmup_steps", self.warmup_steps, minimum=0)
        check_number("momentum", self.momentum, 0, 1, high_open=True)
        check_number("init_scale", self.init_scale, low_open=True)
        check_flag("tied", self.tied)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        if self.random_state is not None:
            check_integer("random_state", self.random_state, minimum=0)
        get_backend(self.backend)
        self._sparsity()

    def _sparsity(self):
        return make_sparsity(self.sparsity, self.n_active, self.lifetime)

    def _parameters(self):
        return {name: getattr(self, f"{name}_") for name in PARAMETERS}

    def _trained_parameters(self):
        """What the optimiser updates: with tied weights the filters only once."""
        parameters = self._parameters()
        if self.tied:
            del parameters["decoder_filters"]
        return parameters

    @property
    def _trained_dtype(self):
        return self.encoder_filters_.dtype

    def _check_trained_as_set(self):
        """Refuse to train on, or to save, filters that the parameters no longer describe."""
        trained = {
            "n_maps": len(self.encoder_filters_),
            "filter_width": self.encoder_filters_.shape[2],
            "tied": self.decoder_filters_ is self.encoder_filters_,
            "dtype": str(self._trained_dtype),
        }
        for name, value in trained.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be {value!r}, as the filters "
                    "were trained, unless fit is called again"
                )

    def _check_new(self, X):
        check_fitted(self, "encoder_filters_")
        self._check_parameters()
        return check_images(X, channels=self.n_channels_, size=self.image_size_)

    def _bar(self, **options):
        return tqdm(disable=None if self.verbose else True, dynamic_ncols=True, **options)
