"""The loss of one layer and its gradients: mean over images of ||x_hat - x||^2 (paper section 2).

images -> survivors -> reconstruction -> error -> gradients, each arrow one call of the backend.
Arrays are the backend's: nothing but the loss leaves a device here.
"""

import numpy as np

from minisca.chunks import chunks
from minisca.training.state import decoder_filters

#: Working memory for the dense path ("none"), which stores feature maps of a chunk of images.
DENSE_BYTES = 64 << 20


def reconstruct(backend, sparsity, parameters, x):
    """Images rebuilt from the survivors (from every unit where sparsity is "none"), on the host.

    Arguments as of `loss_and_gradients`. Returns a NumPy array (n, c, h, w).
    """
    encoder, decoder = parameters["encoder_filters"], decoder_filters(parameters)
    encoder_bias, decoder_bias = parameters["encoder_bias"], parameters["decoder_bias"]
    if sparsity.rule == "none":
        parts = []
        for part in _dense_chunks(x, encoder):
            activations = backend.relu(backend.conv2d(part, encoder, encoder_bias))
            parts.append(backend.to_host(backend.deconv2d(activations, decoder, decoder_bias)))
        return np.concatenate(parts)
    values, positions, maps = sparsity.encode(backend, x, encoder, encoder_bias)
    return backend.to_host(
        backend.decode_winners(values, positions, decoder, decoder_bias, x.shape[2:], maps)
    )


def loss_and_gradients(backend, sparsity, parameters, x):
    """Mean of ||x_hat - x||^2 over images x (n, c, h, w), and its gradients by parameter name.

    parameters: {name: array}, as `LayerState.parameters`. All arrays are the backend's. Tied
    filters have one gradient, of both their uses, under "encoder_filters".
    """
    if sparsity.rule == "none":
        loss, gradients = _through_all_units(backend, parameters, x)
    else:
        loss, gradients = _through_survivors(backend, sparsity, parameters, x)
    if "decoder_filters" not in parameters:
        backend.add_(gradients["encoder_filters"], gradients.pop("decoder_filters"))
    return loss / x.shape[0], gradients


def _through_survivors(backend, sparsity, parameters, x):
    encoder, decoder = parameters["encoder_filters"], decoder_filters(parameters)
    code = sparsity.encode(backend, x, encoder, parameters["encoder_bias"])
    values, positions, maps = code
    x_hat = backend.decode_winners(
        values, positions, decoder, parameters["decoder_bias"], x.shape[2:], maps
    )
    # The gradients are linear in the error: divided by n, it makes them the mean's.
    loss, error = backend.residual(x_hat, x, x.shape[0])
    gradients = backend.winners_backward(x, error, values, positions, encoder, decoder, maps)
    return loss, dict(zip(_ORDER, gradients, strict=True))


def _through_all_units(backend, parameters, x):
    encoder, decoder = parameters["encoder_filters"], decoder_filters(parameters)
    loss, total = 0.0, None
    for part in _dense_chunks(x, encoder):
        maps = backend.conv2d(part, encoder, parameters["encoder_bias"])
        activations = backend.relu(maps)
        x_hat = backend.deconv2d(activations, decoder, parameters["decoder_bias"])
        part_loss, error = backend.residual(x_hat, part)
        d_activations, d_decoder, d_decoder_bias = backend.deconv2d_backward(
            activations, decoder, backend.scaled(error, 2 / x.shape[0])
        )
        d_maps = backend.relu_backward(d_activations, maps)
        _, d_encoder, d_encoder_bias = backend.conv2d_backward(part, encoder, d_maps, needs_x=False)
        gradients = (d_encoder, d_encoder_bias, d_decoder, d_decoder_bias)
        if total is None:
            total = gradients
        else:
            for sums, gradient in zip(total, gradients, strict=True):
                backend.add_(sums, gradient)
        loss += part_loss
    return loss, dict(zip(_ORDER, total, strict=True))


_ORDER = ("encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias")


def squared_norm(error):
    """Sum of squares of a NumPy array, taken in float64; the same on any number of threads."""
    return float(np.square(error, dtype=np.float64).sum())


def _dense_chunks(x, filters):
    per_image = filters.shape[0] * x.shape[2] * x.shape[3] * x.dtype.itemsize
    return [x[rows] for rows in chunks(x.shape[0], per_image, DENSE_BYTES)]
