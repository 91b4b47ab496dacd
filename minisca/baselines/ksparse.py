"""KSparseAutoencoder: of all hidden units of a patch, the k largest rebuild it.

Alireza Makhzani and Brendan Frey, "k-Sparse Autoencoders", 2013: linear hidden units, tied weights.
Trained on patches in isolation it learns the filters of the paper's Figure 1a, many of them the
same edge at different places.
"""

import numpy as np

from minisca.baselines.baseline import Baseline, descend, draw_normal, of_images
from minisca.chunks import chunks, spread
from minisca.files.checkpoint import Learned
from minisca.training.fit import BIAS_RATE, check_training_settings
from minisca.training.images import squared_norm
from minisca.validation import check_images, check_integer, check_number, check_room, read_batch


class KSparseAutoencoder(Baseline):
    """An autoencoder of patches, fully connected: x_hat = W^T z + b', z the k largest of W x + b.

    Parameters
    ----------
    n_units : int, default 1000
        Hidden units m.
    n_active : int, default 30
        Units k that survive in every patch: the largest, whatever their sign. Equal ones survive in
        no order that is promised, but always the same.
    n_active_start : int or None, default 200
        Units that survive in the first epoch; over the first fifth of the epochs their number falls
        linearly to `n_active`, so that every unit finds something to do. None: `n_active`.
    n_epochs, batch_size : int, default 20 and 100
    learning_rate : float, default 0.4
        On the mean over a batch of ||x_hat - x||^2, falling linearly to 0. It is relative: the
        filters' rate is divided by the patches' mean squared norm. The biases get a tenth of it: at
        all of it they fall so fast that many units never survive again.
    momentum : float in [0, 1), default 0.9
    init_scale : float, default 0.01
        Standard deviation of the initial filters; biases start at 0.
    random_state : int or None, default None
        Seed of the initial filters and the order of the patches.
    backend : str, default "auto"
        Of the updates; the rest is matrix products of NumPy.
    dtype : "float32" (default) or "float64"
    verbose : bool, default True

    Attributes
    ----------
    filters_ : array (m, c, h, w) of `dtype`
        Encoder and decoder in one.
    encoder_bias_, decoder_bias_ : arrays (m,) and (c, h, w) of `dtype`
    loss_history_ : float64 array (n_epochs,)
        Mean of ||x_hat - x||^2 over each epoch, measured on the batches while training.
    n_channels_, image_size_ : int and (int, int)
        Channels, and height and width, of the patches seen in `fit`.

    Examples
    --------
    >>> patches = draw_patches(images, 100_000, width=9, random_state=0)
    >>> filters = KSparseAutoencoder(random_state=0).fit(patches).filters_
    """

    _estimator_type = "transformer"
    _main = "filters"

    def __init__(
        self,
        n_units=1000,
        n_active=30,
        n_active_start=200,
        n_epochs=20,
        batch_size=100,
        learning_rate=0.4,
        momentum=0.9,
        init_scale=0.01,
        random_state=None,
        backend="auto",
        dtype="float32",
        verbose=True,
    ):
        self._store(locals())

    def fit(self, X, y=None):
        """Train from fresh filters on patches X (n, c, h, w); y is ignored. Returns self.

        X may be any array that slices along its first axis. Raises ValueError or TypeError for bad
        patches or parameters, DivergenceError when the loss stops being finite.
        """
        self.check_parameters()
        X = check_images(X)
        random = np.random.default_rng(self.random_state)
        shape = (self.n_units, *map(int, X.shape[1:]))
        rows = spread(X.shape[0], 10_000)
        energy = squared_norm(read_batch(X, rows, self.dtype)) / len(rows) or 1.0
        check_room("n_units", shape)
        self._set_learned(
            filters_=draw_normal(random, shape, self.init_scale, self.dtype),
            encoder_bias_=np.zeros(self.n_units, self.dtype),
            decoder_bias_=np.zeros(shape[1:], self.dtype),
            loss_history_=np.empty(0),
            **of_images(X),
        )
        rates = {"filters": 1 / energy, "encoder_bias": BIAS_RATE, "decoder_bias": BIAS_RATE}

        def read(batches):
            return (read_batch(X, rows, self.dtype) for rows in batches)

        def step(parameters, x, epoch):
            return loss_and_gradients(parameters, x, self._units_of_epoch(epoch))

        descend(self, X.shape[0], read, step, rates, random)
        return self

    def transform(self, X):
        """Codes of patches X (n, c, h, w): (n, m), all but `n_active` units of each exactly 0."""
        return np.concatenate(list(self._codes(self._check_new(X))))

    def reconstruct(self, X):
        """Patches X (n, c, h, w) rebuilt from their `n_active` largest units."""
        X = self._check_new(X)
        bias = self.decoder_bias_.reshape(-1)
        parts = [code @ self._weights + bias for code in self._codes(X)]
        return np.concatenate(parts).reshape(X.shape)

    def score(self, X, y=None):
        """Minus the mean over patches of ||x_hat - x||^2: the larger, the better."""
        X = self._check_new(X)
        x = read_batch(X, slice(0, X.shape[0]), self.filters_.dtype)
        return -squared_norm(self.reconstruct(x) - x) / len(x)

    def loss_and_gradients(self, X):
        """Mean over patches X of ||x_hat - x||^2 and its gradients, by parameter name.

        Returns (float, {"filters", "encoder_bias", "decoder_bias"}), shaped as the parameters.
        """
        X = self._check_new(X)
        x = read_batch(X, slice(0, X.shape[0]), self.filters_.dtype)
        parameters = {name: getattr(self, f"{name}_") for name in _PARAMETERS}
        return loss_and_gradients(parameters, x, self.n_active)

    def _codes(self, X):
        """Yield the codes of X, a block of patches at a time."""
        per_patch = (self.n_units + self._weights.shape[1]) * self.filters_.itemsize
        for rows in chunks(X.shape[0], per_patch):
            x = read_batch(X, rows, self.filters_.dtype)
            hidden = x.reshape(len(x), -1) @ self._weights.T + self.encoder_bias_
            yield np.where(_largest(hidden, self.n_active), hidden, 0)

    def _units_of_epoch(self, epoch):
        """How many units survive in `epoch`."""
        start = max(self.n_active, self.n_active_start or 0)
        left = max(0, 1 - epoch / max(1, self.n_epochs // 5))
        return round(self.n_active + left * (start - self.n_active))

    @property
    def _weights(self):
        return self.filters_.reshape(len(self.filters_), -1)

    def _learned_arrays(self):
        patch = (self.n_channels_, *self.image_size_)
        return {
            "filters": Learned((self.n_units, *patch), self.dtype),
            "encoder_bias": Learned((self.n_units,), self.dtype),
            "decoder_bias": Learned(patch, self.dtype),
            "loss_history": Learned((None,), "float64"),
        }

    def check_parameters(self):
        """Raise ValueError or TypeError, naming it, for a bad constructor argument."""
        check_training_settings(self)
        check_integer("n_units", self.n_units)
        for name in ("n_active", "n_active_start"):
            value = getattr(self, name)
            if value is None and name == "n_active_start":
                continue
            if check_integer(name, value) > self.n_units:
                raise ValueError(
                    f"{name} is {value}; it must be at most n_units, which is {self.n_units}"
                )
        check_number("init_scale", self.init_scale, low_open=True)


_PARAMETERS = ("filters", "encoder_bias", "decoder_bias")


def loss_and_gradients(parameters, x, n_active):
    """Mean over patches x (n, c, h, w) of ||x_hat - x||^2, and its gradients by parameter name."""
    filters, encoder_bias, decoder_bias = (parameters[name] for name in _PARAMETERS)
    weights = filters.reshape(len(filters), -1)
    flat = x.reshape(len(x), -1)
    hidden = flat @ weights.T + encoder_bias
    kept = _largest(hidden, n_active)
    code = np.where(kept, hidden, 0)
    error = code @ weights + decoder_bias.reshape(-1) - flat
    d_x_hat = error * (2 / len(x))
    d_hidden = np.where(kept, d_x_hat @ weights.T, 0)
    d_filters = code.T @ d_x_hat + d_hidden.T @ flat  # as decoder, and as encoder
    return squared_norm(error) / len(x), {
        "filters": d_filters.reshape(filters.shape),
        "encoder_bias": d_hidden.sum(axis=0),
        "decoder_bias": d_x_hat.sum(axis=0).reshape(decoder_bias.shape),
    }


def _largest(hidden, n_active):
    """Which units of every row are among its n_active largest: a mask, exactly so many a row."""
    kept = np.zeros(hidden.shape, bool)
    rows = np.argpartition(-hidden, n_active - 1, axis=1)[:, :n_active]
    np.put_along_axis(kept, rows, True, axis=1)
    return kept
