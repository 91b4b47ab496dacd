"""What a fitted layer makes of images, a batch at a time: features, winners, reconstructions.

The sparsity rule is off wherever features are asked for (paper section 2). Every function takes the
backend that computes, the layer's LayerState and settings, and images X (n, c, h, w) that were
checked and centred; `SparseConvAutoencoder` says what it returns.
"""

import math
import warnings

import numpy as np

from minisca.backends import name_of
from minisca.chunks import ceil_div, chunks, slices, spread
from minisca.keeping import Filling, make_out
from minisca.output import FlatRows, flat_shape
from minisca.progress import progress
from minisca.sparsity import make_sparsity
from minisca.training import objective
from minisca.training.arrivals import arriving, bring
from minisca.training.images import squared_norm
from minisca.validation import read_batch

#: Images that are encoded at a time: so many, if they and what is made of them take no more.
ENCODE_BATCH = 256
IMAGES_BYTES = 64 << 20
RESULTS_BYTES = 160 << 20


def images_at_a_time(most, dtype, image_shape, *results):
    """How many images to encode at a time, `most` or fewer.

    image_shape, results: shapes of an image and of what is made of it and held beside it.
    """
    image_bytes = math.prod(image_shape) * np.dtype(dtype).itemsize
    result_bytes = max(map(math.prod, results), default=1) * np.dtype(dtype).itemsize
    return max(1, min(most, IMAGES_BYTES // image_bytes, RESULTS_BYTES // result_bytes))


def transform(backend, state, settings, X, out=None, to="host", dtype=None):
    """See `SparseConvAutoencoder.transform`."""
    pooling = settings.pool_width, settings.pool_stride, settings.pool_origin

    def encode(x, filters, bias, factors):
        return backend.encode_pooled(x, filters, bias, *pooling, factors)

    shape = X.shape[0], *features_shape(state, settings, X.shape[2:])
    given = flat_shape(shape) if settings.flat else shape
    out = make_out(backend, given, state.dtype, out, to, dtype)
    _fill(as_maps(backend, out, shape), backend, state, settings, X, encode, "encoding")
    return out


def as_maps(backend, out, shape):
    """`out`, rows maybe, as features of `shape` (n, m, h', w') for who fills it."""
    if tuple(out.shape) == tuple(shape):
        return out
    on_device = name_of(backend) != "cpu" and backend.holds(out)
    return out.reshape(shape) if on_device else FlatRows(out, shape)


def features_shape(state, settings, size):
    """(m, h', w') of the features of an image of `size` (h, w)."""
    n_maps = len(state.get("encoder_bias"))
    return n_maps, *(ceil_div(side, settings.pool_stride) for side in size)


def feature_maps(backend, state, settings, X):
    """See `SparseConvAutoencoder.feature_maps`."""

    def encode(x, filters, bias, factors):
        if factors is None:
            return backend.relu(backend.conv2d(x, filters, bias))
        return backend.encode_pooled(x, filters, bias, 1, 1, "corner", factors)  # a unit a window

    shape = X.shape[0], len(state.get("encoder_bias")), *X.shape[2:]
    out = np.empty(shape, state.dtype)
    _fill(out, backend, state, settings, X, encode, "feature maps", arrays=2)
    return out


def winners(backend, state, settings, X):
    """See `SparseConvAutoencoder.winners`."""

    def encode(parameters, x):
        return backend.encode_winners(x, *_encoder(parameters))

    parts = _by_batch(backend, state.parameters, settings, X, encode, "winners")
    values, positions = zip(*(code for _, code in parts), strict=True)
    return np.concatenate(values), np.concatenate(positions)


def reconstruct(backend, state, settings, X):
    """See `SparseConvAutoencoder.reconstruct`."""
    out = np.empty(X.shape, state.dtype)
    for rows, x_hat in _reconstructions(backend, state, settings, X, "reconstructing"):
        out[rows] = x_hat if state.centre is None else x_hat + state.centre[:, None, None]
        del x_hat
    return out


def score(backend, state, settings, X):
    """See `SparseConvAutoencoder.score`."""
    return -sum(squared_errors(backend, state, settings, X)) / X.shape[0]


def squared_errors(backend, state, settings, X):
    """Yield the sum of ||x_hat - x||^2 over every batch of images."""
    for rows, x_hat in _reconstructions(backend, state, settings, X, "scoring"):
        x_hat = np.subtract(x_hat, read_batch(X, rows, state.dtype), out=x_hat)
        yield squared_norm(x_hat)
        del x_hat


def usage(backend, state, settings, X):
    """See `SparseConvAutoencoder.usage`."""
    return count_survivors(backend, state, settings, X) / X.shape[0]


def count_survivors(backend, state, settings, X):
    """In how many images each map has a survivor: (m,)."""
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
    return sum(active(*code).sum(axis=0) for _, code in codes)


def count_dead_maps(backend, state, settings, X):
    """How many maps have no survivor in some images spread over X, and how many those are."""
    few = images_at_a_time(1000, state.dtype, X.shape[1:])
    rows = spread(X.shape[0], few)
    images = read_batch(X, rows, state.dtype)
    return int((usage(backend, state, settings, images) == 0).sum()), len(rows)


def warn_of_dead_maps(backend, state, settings, X):
    """Warn if more than half of the maps have no survivor in any of some images spread over X."""
    n_dead, n = count_dead_maps(backend, state, settings, X)
    if 2 * n_dead > settings.n_maps:
        warnings.warn(
            f"{n_dead} of {settings.n_maps} maps are dead: of {n} images, none has a "
            "survivor there. A lower learning_rate, more warmup_steps or more steps may help",
            stacklevel=5,
        )


def loss_and_gradients(backend, state, settings, X):
    """See `SparseConvAutoencoder.loss_and_gradients`."""
    sparsity = make_sparsity(settings.sparsity, settings.n_active, settings.lifetime)
    x = bring(backend, X, slice(0, X.shape[0]), state.dtype)
    parameters = _where(backend, state.parameters)
    loss, gradients = objective.loss_and_gradients(backend, sparsity, parameters, x)
    on_host = {name: backend.to_host(value) for name, value in gradients.items()}
    return objective.as_number(backend, loss), on_host


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


def _contrast_factors(backend, state, settings, x):
    """1 / s (b, h, w) of images x where the backend computes; see `SparseConvAutoencoder`.

    None where features are not divided, as where the images that training began with were zeros.
    """
    epsilon, energy, dtype = settings.encoding_contrast, state.patch_energy, state.dtype
    if epsilon is None or not energy:
        return None
    box = np.ones_like(state.get("encoder_filters")[:1])
    # In the unit of a pixel's root mean square no square over- or underflows.
    unit = max(math.sqrt(energy / box.size), float(np.finfo(dtype).tiny))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        if name_of(backend) == "cpu":
            squares = x / dtype.type(unit)
            squares *= squares
        else:  # a pixel is a row of one number there
            pixels = backend.scaled(x, 1 / unit).reshape((x.size, 1))
            squares = backend.cast(backend.row_squares(pixels), dtype).reshape(tuple(x.shape))
        norms = backend.to_host(backend.conv2d(squares, box, np.zeros(1, dtype)))[:, 0]
        squared = (norms.astype(np.float64) / box.size + epsilon) / (1 + epsilon)
        return np.minimum(1 / np.sqrt(squared), np.finfo(dtype).max).astype(dtype)


def _fill(out, backend, state, settings, X, function, description, arrays=1):
    """Fill `out` with what `function` returns, (b, m, ...), over X.

    It takes images, filters, biases and what `_contrast_factors` returns. Of images so large that
    one image's results are too many, some maps at a time. arrays: how many of its result's shape
    the function needs.
    """
    filters, bias = _encoder(_where(backend, _for_features(state, settings)))
    result = arrays, *out.shape[1:]
    map_bytes = arrays * math.prod(out.shape[2:]) * filters.dtype.itemsize
    parts = chunks(len(filters), map_bytes, RESULTS_BYTES)
    images = _read(backend, filters.dtype, settings, X, description, result)
    with Filling(backend, out) as filling:
        for rows, x in images:
            factors = _contrast_factors(backend, state, settings, x)
            for maps in parts:
                made = function(x, filters[maps], bias[maps], factors)
                filling.put(rows if len(parts) == 1 else (rows, maps), made)
                del made  # not held while the next is computed


def _by_batch(backend, parameters, settings, X, function, description):
    """Yield (rows, what `function(parameters, images)` returns) over X.

    The function gets its arrays where the backend computes; arrays that it returns are brought to
    the host.
    """
    parameters = _where(backend, parameters)
    dtype = parameters["encoder_filters"].dtype
    for rows, x in _read(backend, dtype, settings, X, description):
        yield rows, _on_host(backend, function(parameters, x))


def _read(backend, dtype, settings, X, description, *results):
    """Yield (rows, images where the backend computes) over X. A progress bar, if it takes long.

    results: as of `images_at_a_time`.
    """
    n, length = X.shape[0], images_at_a_time(ENCODE_BATCH, dtype, X.shape[1:], *results)
    with progress(settings.verbose, total=n, unit=" images", desc=description, delay=2) as bar:
        parts = slices(n, length)
        for rows, x in zip(parts, arriving(backend, X, parts, dtype), strict=True):
            yield rows, x
            bar.update(rows.stop - rows.start)


def _on_host(backend, results):
    """One array, or a tuple of arrays and None, as NumPy arrays."""
    if isinstance(results, tuple):
        return tuple(None if part is None else backend.to_host(part) for part in results)
    return backend.to_host(results)
