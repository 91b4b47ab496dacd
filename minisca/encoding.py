"""What a fitted layer makes of images, a batch at a time: features, winners, reconstructions.

The sparsity rule is off wherever features are asked for (paper section 2). Every function takes the
backend that computes, the layer's LayerState and settings, and images X (n, c, h, w) that were
checked; `SparseConvAutoencoder` says what it returns.
"""

import numpy as np

from minisca.chunks import ceil_div, slices
from minisca.progress import progress
from minisca.sparsity import make_sparsity
from minisca.training import objective
from minisca.validation import check_out, read_batch

#: Images that are encoded at a time.
ENCODE_BATCH = 256


def transform(backend, state, settings, X, out=None):
    """See `SparseConvAutoencoder.transform`."""
    pooling = settings.pool_width, settings.pool_stride

    def encode(parameters, x):
        return backend.encode_pooled(x, *_encoder(parameters), *pooling)

    parameters = _for_features(state, settings)
    sides = [ceil_div(side, settings.pool_stride) for side in X.shape[2:]]
    shape = (X.shape[0], len(parameters["encoder_filters"]), *sides)
    out = np.empty(shape, state.dtype) if out is None else check_out(out, shape)
    for rows, features in _by_batch(backend, parameters, settings, X, encode, "encoding"):
        out[rows] = features
    return out


def feature_maps(backend, state, settings, X):
    """See `SparseConvAutoencoder.feature_maps`."""

    def encode(parameters, x):
        return backend.relu(backend.conv2d(x, *_encoder(parameters)))

    parameters = _for_features(state, settings)
    parts = _by_batch(backend, parameters, settings, X, encode, "feature maps")
    return np.concatenate([maps for _, maps in parts])


def winners(backend, state, settings, X):
    """See `SparseConvAutoencoder.winners`."""

    def encode(parameters, x):
        return backend.encode_winners(x, *_encoder(parameters))

    parts = _by_batch(backend, state.parameters, settings, X, encode, "winners")
    values, positions = zip(*(code for _, code in parts), strict=True)
    return np.concatenate(values), np.concatenate(positions)


def reconstruct(backend, state, settings, X):
    """See `SparseConvAutoencoder.reconstruct`."""
    parts = _reconstructions(backend, state, settings, X, "reconstructing")
    return np.concatenate([x_hat for _, x_hat in parts])


def score(backend, state, settings, X):
    """See `SparseConvAutoencoder.score`."""
    total = 0.0
    for rows, x_hat in _reconstructions(backend, state, settings, X, "scoring"):
        total += objective.squared_norm(x_hat - read_batch(X, rows, state.dtype))
    return -total / X.shape[0]


def usage(backend, state, settings, X):
    """See `SparseConvAutoencoder.usage`."""
    sparsity = make_sparsity(settings.sparsity, settings.n_active)  # lifetime's is a batch's

    def encode(parameters, x):
        if sparsity.rule == "none":
            return *backend.encode_winners(x, *_encoder(parameters)), None
        return sparsity.encode(backend, x, *_encoder(parameters))

    def active(values, _, maps):
        if maps is None:
            return values > 0
        found = np.zeros((len(values), len(state.parameters["encoder_bias"])), bool)
        images, slots = np.nonzero(values > 0)
        found[images, maps[images, slots]] = True
        return found

    codes = _by_batch(backend, state.parameters, settings, X, encode, "usage")
    return sum(active(*code).sum(axis=0) for _, code in codes) / X.shape[0]


def loss_and_gradients(backend, state, settings, X):
    """See `SparseConvAutoencoder.loss_and_gradients`."""
    sparsity = make_sparsity(settings.sparsity, settings.n_active, settings.lifetime)
    x = backend.to_device(read_batch(X, slice(0, X.shape[0]), state.dtype))
    parameters = _where(backend, state.parameters)
    loss, gradients = objective.loss_and_gradients(backend, sparsity, parameters, x)
    return loss, {name: backend.to_host(value) for name, value in gradients.items()}


def _reconstructions(backend, state, settings, X, description):
    sparsity = make_sparsity(settings.sparsity, settings.n_active)  # lifetime's is a batch's

    def rebuild(parameters, x):
        return objective.reconstruct(backend, sparsity, parameters, x)

    return _by_batch(backend, state.parameters, settings, X, rebuild, description)


def _encoder(parameters):
    return parameters["encoder_filters"], parameters["encoder_bias"]


def _for_features(state, settings):
    """The encoder's parameters, its bias times `encoding_bias`."""
    filters, bias = _encoder(state.parameters)
    return {"encoder_filters": filters, "encoder_bias": float(settings.encoding_bias) * bias}


def _where(backend, parameters):
    return {name: backend.to_device(value) for name, value in parameters.items()}


def _by_batch(backend, parameters, settings, X, function, description):
    """Yield (rows, what `function(parameters, images)` returns) over X.

    The function gets its arrays where the backend computes; arrays that it returns are brought to
    the host. A progress bar, if it takes long.
    """
    dtype = parameters["encoder_filters"].dtype
    parameters = _where(backend, parameters)
    n = X.shape[0]
    with progress(settings.verbose, total=n, unit="image", desc=description, delay=2) as bar:
        for rows in slices(n, ENCODE_BATCH):
            x = backend.to_device(read_batch(X, rows, dtype))
            yield rows, _on_host(backend, function(parameters, x))
            bar.update(rows.stop - rows.start)


def _on_host(backend, results):
    """One array, or a tuple of arrays and None, as NumPy arrays."""
    if isinstance(results, tuple):
        return tuple(None if part is None else backend.to_host(part) for part in results)
    return backend.to_host(results)
