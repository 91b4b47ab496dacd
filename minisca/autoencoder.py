"""SparseConvAutoencoder: one layer, trained by winner-take-all (paper section 2).

Training (`training`) keeps the survivors of the sparsity rule alone; encoding, here, turns the rule
off and max-pools.
"""

import numpy as np
from tqdm import tqdm

from minisca.backends import get_backend
from minisca.estimator import Estimator
from minisca.objective import loss_and_gradients, reconstruct, squared_norm
from minisca.saving import PARAMETERS, Saving
from minisca.sparsity import make_sparsity
from minisca.training import Training
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


class SparseConvAutoencoder(Training, Saving, Estimator):
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
