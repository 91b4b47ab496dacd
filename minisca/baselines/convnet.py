"""SupervisedConvNet: the layer's architecture, trained end to end on labels (paper, Figure 1c).

Convolution, ReLU, overlapping max-pooling, softmax. Forward and backward are the backend's own
operations, one after the other; no feature is learned without a label.
"""

import copy

import numpy as np

from minisca.backends import get_backend
from minisca.baselines.baseline import Baseline, descend, draw_normal, of_images
from minisca.chunks import ceil_div, chunks, slices, spread
from minisca.classifiers.base import Classifier
from minisca.classifiers.logistic import log_softmax
from minisca.encoding import ENCODE_BATCH, images_at_a_time
from minisca.files.checkpoint import LABELS, Learned
from minisca.training.fit import check_architecture, check_training_settings
from minisca.training.images import squared_norm
from minisca.training.objective import DENSE_BYTES
from minisca.validation import check_images, check_labels, check_number, check_room, read_batch

#: Learning rates of filters and their biases, and of the intercepts, as fractions of
#: `learning_rate`.
FILTER_RATE = 0.04
INTERCEPT_RATE = 0.1

_PARAMETERS = ("filters", "bias", "coef", "intercept")


class SupervisedConvNet(Classifier, Baseline):
    """A shallow convolutional network, trained on the mean cross-entropy of its softmax.

    Parameters
    ----------
    n_maps : int, default 128
    filter_width : odd int, default 7
    pool_width, pool_stride : int, default 5 and 3
        As of `SparseConvAutoencoder`.
    l2 : float >= 0, default 1e-4
        `l2 / 2` times the sum of the squared filters and weights is added to the loss.
    n_epochs, batch_size : int, default 20 and 100
    learning_rate : float, default 1
        Falling linearly to 0. For the weights it is relative, so that a good value stays good for
        any number of maps: their rate is `learning_rate * n_classes` over the mean squared norm of
        an image's features before training. The filters' is a fixed fraction of it, which suits
        images of about unit variance or within [0, 1].
    momentum : float in [0, 1), default 0.9
    random_state : int or None, default None
        Seed of the initial filters and the order of the images.
    backend : str, default "auto"
    dtype : "float32" (default) or "float64"
    verbose : bool, default True

    Attributes
    ----------
    classes_ : array (n_classes,)
        The labels, sorted.
    filters_, bias_ : arrays (m, c, k, k) and (m,) of `dtype`
    coef_, intercept_ : arrays (n_classes, m * h' * w') and (n_classes,) of `dtype`
    loss_history_ : float64 array (n_epochs,)
        Mean of the objective over each epoch, measured on the batches while training.
    n_channels_, image_size_ : int and (int, int)
        Channels, and height and width, of the images seen in `fit`.

    Examples
    --------
    >>> network = SupervisedConvNet(n_maps=32, random_state=0).fit(images, labels)
    >>> network.score(test_images, test_labels)
    """

    _main = "filters"

    def __init__(
        self,
        n_maps=128,
        filter_width=7,
        pool_width=5,
        pool_stride=3,
        l2=1e-4,
        n_epochs=20,
        batch_size=100,
        learning_rate=1.0,
        momentum=0.9,
        random_state=None,
        backend="auto",
        dtype="float32",
        verbose=True,
    ):
        self._store(locals())

    def fit(self, X, y):
        """Train from fresh filters on images X (n, c, h, w) and labels y (n,). Returns self.

        X may be any array that slices along its first axis: a batch is read at a time. y: integers
        or text. Raises ValueError or TypeError for bad images, labels or parameters and for fewer
        than two classes, DivergenceError when the loss stops being finite.
        """
        self.check_parameters()
        X = check_images(X)
        classes, codes = np.unique(check_labels(y, X.shape[0]), return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has one class, {classes.tolist()[0]!r}; it must have two or more")
        random = np.random.default_rng(self.random_state)
        made = copy.copy(self)
        made._set_learned(classes_=classes, **of_images(X))
        made._initialise(random)
        self._set_learned(**vars(made))

        def read(batches):
            return ((read_batch(X, rows, self.dtype), codes[rows]) for rows in batches)

        def step(parameters, batch, _):
            return self._loss_and_gradients(parameters, *batch)

        descend(self, X.shape[0], read, step, self._rate_scales(X), random)
        return self

    def transform(self, X):
        """Features of images X (n, c, h, w), what the softmax sees: (n, m, h', w')."""
        return np.concatenate(list(self._encode(self._check_new(X))))

    def _count(self, X):
        return self._check_new(X).shape[0]

    def loss_and_gradients(self, X, y):
        """The objective over images X and labels y, and its gradients by parameter name.

        Returns (float, {"filters", "bias", "coef", "intercept"}), shaped as the parameters. Raises
        ValueError for a label that `fit` has not seen.
        """
        X = self._check_new(X)
        labels = check_labels(y, X.shape[0])
        unknown = ~np.isin(labels, self.classes_)
        if unknown.any():
            must = f"it must be one of those of fit, {self.classes_.tolist()}"
            raise ValueError(f"y has the label {labels[unknown][0]!r}; {must}")
        x = read_batch(X, slice(0, X.shape[0]), self.filters_.dtype)
        codes = np.searchsorted(self.classes_, labels)
        parameters = {name: getattr(self, f"{name}_") for name in _PARAMETERS}
        return self._loss_and_gradients(parameters, x, codes)

    def _loss_and_gradients(self, parameters, x, codes):
        """Summed over parts of the batch whose feature maps fit into the working memory."""
        penalised = ("filters", "coef")
        loss = sum(self.l2 / 2 * float(np.vdot(parameters[p], parameters[p])) for p in penalised)
        gradients = {
            name: value * value.dtype.type(self.l2 if name in penalised else 0)
            for name, value in parameters.items()
        }
        for rows in chunks(len(x), self._bytes_per_image(), DENSE_BYTES):
            part_loss, part = self._cross_entropy(parameters, x[rows], codes[rows], 1 / len(x))
            loss += part_loss
            for name, gradient in part.items():
                gradients[name] += gradient
        return loss, gradients

    def _cross_entropy(self, parameters, x, codes, weight):
        """`weight` times the sum of the images' cross-entropies, and its gradients.

        ReLU and max-pooling change places, which changes neither values nor gradients: pooled maps
        are smaller.
        """
        backend = get_backend(self.backend)
        filters, bias, coef, intercept = (parameters[name] for name in _PARAMETERS)
        maps = backend.conv2d(x, filters, bias)
        pooled, argmax = backend.max_pool(maps, self.pool_width, self.pool_stride)
        features = backend.to_host(backend.relu(pooled)).reshape(len(x), -1)
        log_probabilities = log_softmax(features @ coef.T + intercept)
        rows = np.arange(len(x))
        loss = -weight * float(log_probabilities[rows, codes].sum(dtype=np.float64))

        d_logits = np.exp(log_probabilities)
        d_logits[rows, codes] -= 1
        d_logits *= d_logits.dtype.type(weight)
        d_features = (d_logits @ coef).reshape(pooled.shape)
        d_pooled = backend.relu_backward(d_features, pooled)
        d_maps = backend.max_pool_backward(d_pooled, argmax, maps.shape)
        _, d_filters, d_bias = backend.conv2d_backward(x, filters, d_maps, needs_x=False)
        return loss, {
            "filters": backend.to_host(d_filters),
            "bias": backend.to_host(d_bias),
            "coef": d_logits.T @ features,
            "intercept": d_logits.sum(axis=0),
        }

    def predict_proba(self, X):
        """Probabilities of images X (n, c, h, w): (n, n_classes), in `classes_`'s order."""
        return np.exp(log_softmax(self._scores(X)))

    def _scores(self, X):
        parts = (part.reshape(len(part), -1) for part in self._encode(self._check_new(X)))
        return np.concatenate([part @ self.coef_.T + self.intercept_ for part in parts])

    def _encode(self, X):
        """Yield the pooled features of X, a batch of images at a time."""
        backend = get_backend(self.backend)
        pooling = self.pool_width, self.pool_stride
        made = len(self.bias_), *(ceil_div(side, self.pool_stride) for side in X.shape[2:])
        length = images_at_a_time(ENCODE_BATCH, self.filters_.dtype, X.shape[1:], made)
        for rows in slices(X.shape[0], length):
            x = read_batch(X, rows, self.filters_.dtype)
            yield backend.to_host(backend.encode_pooled(x, self.filters_, self.bias_, *pooling))

    def _initialise(self, random):
        """Filters that keep the variance of what they see (He et al., 2015), weights of 0."""
        shapes = self._learned_shapes()
        scale = (2 / np.prod(shapes["filters"][1:])) ** 0.5
        check_room("n_maps or filter_width", shapes["filters"])
        self.filters_ = draw_normal(random, shapes["filters"], scale, self.dtype)
        self.bias_ = np.zeros(shapes["bias"], self.dtype)
        self.coef_ = np.zeros((len(self.classes_), shapes["coef"][1]), self.dtype)
        self.intercept_ = np.zeros(len(self.classes_), self.dtype)
        self.loss_history_ = np.empty(0)

    def _rate_scales(self, X):
        """Factors on the learning rate, by up to 500 images spread over X.

        At first a softmax of n classes is curved by about 1 / n along a logit; along weights, by
        that times the squared norm of the features.
        """
        x = read_batch(X, spread(X.shape[0], 500), self.dtype)
        energy = sum(squared_norm(part) for part in self._encode(x)) / len(x) or 1.0
        rates = FILTER_RATE, FILTER_RATE, len(self.classes_) / energy, INTERCEPT_RATE
        return dict(zip(_PARAMETERS, rates, strict=True))

    def check_parameters(self):
        """Raise ValueError or TypeError, naming it, for a bad constructor argument."""
        check_training_settings(self)
        check_architecture(self)
        check_number("l2", self.l2)

    def _bytes_per_image(self):
        height, width = self.image_size_
        return self.n_maps * height * width * self.filters_.itemsize

    def _learned_arrays(self):
        height, width = (ceil_div(side, self.pool_stride) for side in self.image_size_)
        k = self.filter_width
        return {
            "filters": Learned((self.n_maps, self.n_channels_, k, k), self.dtype),
            "bias": Learned((self.n_maps,), self.dtype),
            "coef": Learned(("classes", self.n_maps * height * width), self.dtype),
            "intercept": Learned(("classes",), self.dtype),
            "classes": Learned(("classes",), LABELS),
            "loss_history": Learned((None,), "float64"),
        }
