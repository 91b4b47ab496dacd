"""The loss of one layer and its gradients: mean over images of ||x_hat - x||^2 (paper section 2).

images -> survivors -> reconstruction -> error -> gradients, each arrow one call of the backend.
Arrays are the backend's: nothing leaves a device here, and the host waits for nothing.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minisca.chunks import chunks
from minisca.training.state import PARAMETERS, decoder_filters

#: Working memory for the dense path ("none"), which stores feature maps of a chunk of images.
DENSE_BYTES = 64 << 20
#: Images whose reconstruction and error are held at a time, where the gradients take no more.
ERROR_BYTES = 48 << 20


class Unread(NamedTuple):
    """A mean loss that is still on the device: the sum of `parts` / `divisor`, see `as_number`."""

    parts: Any
    divisor: int


def as_number(backend, loss):
    """A loss of `loss_and_gradients` as a float: where it is on a device, the host waits for it."""
    if not isinstance(loss, Unread):
        return loss
    total = backend.empty((1,), "float64")
    backend.add_up_(total, *loss)
    return float(backend.to_host(total)[0])


def reconstruct(backend, sparsity, parameters, x):
    """Images rebuilt from the survivors (from every unit where sparsity is "none"), on the host.

    Arguments as of `loss_and_gradients`. Returns a NumPy array (n, c, h, w).
    """
    if sparsity.rule == "none":
        x_hat = np.empty(x.shape, x.dtype)
        for rows in dense_chunks(x, parameters["encoder_filters"].shape[0]):
            x_hat[rows] = backend.to_host(all_units(backend, parameters, x[rows])[1])
        return x_hat
    code = encode(backend, sparsity, parameters, x)
    return backend.to_host(rebuild(backend, parameters, code, x.shape[2:]))


def rebuild(backend, parameters, code, size):
    """Images (n, c, h, w) of `size` (h, w), rebuilt from their code, where the backend computes."""
    filters, bias = decoder_filters(parameters), parameters["decoder_bias"]
    return backend.decode_winners(code.values, code.positions, filters, bias, size, code.maps)


def loss_and_gradients(backend, sparsity, parameters, x):
    """Mean of ||x_hat - x||^2 over images x (n, c, h, w), and its gradients by parameter name.

    parameters: {name: array}, as `LayerState.parameters`. All arrays are the backend's. Tied
    filters have one gradient, of both their uses, under "encoder_filters". The loss is a float, or
    `Unread` where the backend leaves it on a device.
    """
    code = encode(backend, sparsity, parameters, x)
    loss, gradients = sums(backend, parameters, x, code, x.shape[0])
    return mean_loss(loss, x.shape[0]), gradients


def mean_loss(loss, n):
    """The mean over n images of a loss as the backend's `residual` gives it."""
    return loss / n if isinstance(loss, float) else Unread(loss, n)


def sums(backend, parameters, x, code, n):
    """The loss summed over images x, and the sum of their shares of the gradients, divided by n.

    code: of the images, or None where every unit survives. See `loss_and_gradients`.
    """
    if code is None:
        parts = _through_all_units(backend, parameters, x, n)
    else:
        parts = _through_survivors(backend, parameters, x, code, n)
    loss, total = next(parts)
    losses = [loss]
    for loss, gradients in parts:
        losses.append(loss)
        for whole, gradient in zip(total, gradients, strict=True):
            backend.add_(whole, gradient)
        del gradients, gradient  # not held while the next are computed
    return joined(backend, losses), named_gradients(backend, parameters, total)


def named_gradients(backend, parameters, gradients):
    """{name: array} of gradients in the order of `PARAMETERS`, those of tied filters added up."""
    gradients = dict(zip(PARAMETERS, gradients, strict=True))
    if "decoder_filters" not in parameters:
        backend.add_(gradients["encoder_filters"], gradients.pop("decoder_filters"))
    return gradients


def do_step(optimiser, sparsity, x, learning_rate):
    """One step of an `SGD` of a layer's parameters along images x; returns their loss before it.

    x, the loss: as of `loss_and_gradients`. learning_rate: as of `SGD.step`. With an array of
    rates, gradients that come from one code at once go into the update as they are, to the same
    bits; else they are added up before.
    """
    backend, parameters = optimiser.backend, optimiser.parameters
    at_once = getattr(learning_rate, "ndim", 0) == 1 and tuple(parameters) == PARAMETERS
    if not at_once or sparsity.rule == "none" or len(_error_chunks(x, parameters)) > 1:
        loss, gradients = loss_and_gradients(backend, sparsity, parameters, x)
        optimiser.step(gradients, learning_rate)
        return loss
    code, n = encode(backend, sparsity, parameters, x), x.shape[0]
    loss, error = _loss_and_error(backend, parameters, x, code, n)
    optimiser.step_by_survivors(x, error, code, learning_rate)
    return mean_loss(loss, n)


def joined(backend, losses):
    """The sum of losses as the backend's `residual` gives them, as one like them."""
    if isinstance(losses[0], float):
        return sum(losses[1:], losses[0])
    if len(losses) == 1:
        return losses[0]
    totals = backend.empty((len(losses),), "float64")
    for i, parts in enumerate(losses):
        backend.add_up_(totals[i : i + 1], parts)
    return totals


def _through_survivors(backend, parameters, x, code, n):
    """Yield (loss, gradients) of some images at a time, all of one code."""
    parts = _error_chunks(x, parameters)
    if len(parts) == 1:
        yield _of_survivors(backend, parameters, x, code, n)
        return
    for rows in parts:
        part = [None if array is None else array[rows] for array in code]
        yield _of_survivors(backend, parameters, x[rows], part, n)


def encode(backend, sparsity, parameters, x):
    """The code of images x; None where every unit survives, which has no code."""
    if sparsity.rule == "none":
        return None
    return sparsity.encode(backend, x, parameters["encoder_filters"], parameters["encoder_bias"])


def _of_survivors(backend, parameters, x, code, n):
    encoder, decoder = parameters["encoder_filters"], decoder_filters(parameters)
    values, positions, maps = code
    loss, error = _loss_and_error(backend, parameters, x, code, n)
    return loss, backend.winners_backward(x, error, values, positions, encoder, decoder, maps)


def _loss_and_error(backend, parameters, x, code, n):
    values, positions, maps = code
    what = values, positions, decoder_filters(parameters), parameters["decoder_bias"]
    # The gradients are linear in the error: divided by n, it makes them the mean's.
    if x.shape[0] > 1 or _size({"x": x}) * x.dtype.itemsize <= ERROR_BYTES:
        return backend.decoded_residual(*what, x, n, maps)
    x_hat = backend.decode_winners(*what, x.shape[2:], maps)
    return _residual_in_place(backend, x_hat, x, n)


def _residual_in_place(backend, x_hat, x, divisor):
    """As the backend's, of an image too large to hold twice: the error takes the place of x_hat."""
    lines, losses = (-1, x.shape[3]), []
    error, x = x_hat.reshape(lines), x.reshape(lines)
    for rows in chunks(x.shape[0], x.shape[1] * x.dtype.itemsize, ERROR_BYTES // 4):
        loss, part = backend.residual(error[rows], x[rows], divisor)
        backend.copy_into_(error[rows], part)
        losses.append(loss)
    return joined(backend, losses), x_hat


def _through_all_units(backend, parameters, x, n):
    """Yield (loss, gradients) of a chunk of images at a time."""
    for rows in dense_chunks(x, parameters["encoder_filters"].shape[0]):
        yield _of_all_units(backend, parameters, x[rows], n)


def _of_all_units(backend, parameters, x, n):
    activations, x_hat = all_units(backend, parameters, x)
    loss, error = backend.residual(x_hat, x)
    del x_hat
    error = backend.scaled(error, 2 / n)
    return loss, all_units_backward(backend, parameters, x, activations, error)


def all_units(backend, parameters, x):
    """The activations (n, m, h, w) of images x, and what they rebuild, (n, c, h, w)."""
    encoder, decoder = parameters["encoder_filters"], decoder_filters(parameters)
    activations = backend.relu(backend.conv2d(x, encoder, parameters["encoder_bias"]))
    return activations, backend.deconv2d(activations, decoder, parameters["decoder_bias"])


def all_units_backward(backend, parameters, x, activations, d_images):
    """Gradients in the order of `PARAMETERS`, of d_images by what `all_units` rebuilt."""
    encoder, decoder = parameters["encoder_filters"], decoder_filters(parameters)
    d_activations, d_decoder, d_decoder_bias = backend.deconv2d_backward(
        activations, decoder, d_images
    )
    # an activation is positive where its pre-activation is
    d_maps = backend.relu_backward(d_activations, activations)
    del activations, d_activations
    _, d_encoder, d_encoder_bias = backend.conv2d_backward(x, encoder, d_maps, needs_x=False)
    return d_encoder, d_encoder_bias, d_decoder, d_decoder_bias


def dense_chunks(x, n_maps):
    """Slices of images x: as many at a time as the dense path has working memory for."""
    per_image = n_maps * x.shape[2] * x.shape[3] * x.dtype.itemsize
    return chunks(x.shape[0], per_image, DENSE_BYTES)


def _size(parameters):
    return sum(math.prod(array.shape) for array in parameters.values())


def _error_chunks(x, parameters):
    limit = max(ERROR_BYTES, _size(parameters) * x.dtype.itemsize)
    return chunks(x.shape[0], math.prod(x.shape[1:]) * x.dtype.itemsize, limit)
