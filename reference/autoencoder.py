"""The whole autoencoder by its dense path: every map stored, most units set to zero, in float64.

From section 2.1 of arXiv 1409.2752v1, training steps 1 to 3, averaged over the images.
"""

import numpy as np

from reference.conv import conv2d, conv2d_backward
from reference.deconv import deconv2d, deconv2d_backward
from reference.winners import relu, relu_backward, winner_take_all, winner_take_all_backward


def winner_mask(maps):
    """1 at the winner of every map, 0 elsewhere (in a silent map: 1 at a unit that ReLU cut)."""
    values, positions = winner_take_all(maps)
    return winner_take_all_backward(np.ones(values.shape), positions, maps.shape)


def loss_and_gradients(
    x, encoder_filters, encoder_bias, decoder_filters, decoder_bias, survive=winner_mask
):
    """Mean over images of ||x_hat - x||^2, and its gradients in the order of the parameters.

    `survive(maps)` is 1 where a unit survives and 0 elsewhere: another rule, another autoencoder.
    """
    maps = conv2d(x, encoder_filters, encoder_bias)
    mask = survive(maps)
    activations = relu(maps) * mask
    error = deconv2d(activations, decoder_filters, decoder_bias) - x

    d_images = 2 * error / len(x)
    d_activations, d_decoder_filters, d_decoder_bias = deconv2d_backward(
        activations, decoder_filters, d_images
    )
    d_maps = relu_backward(d_activations * mask, maps)
    _, d_encoder_filters, d_encoder_bias = conv2d_backward(x, encoder_filters, d_maps)
    gradients = d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias
    return np.sum(error**2) / len(x), gradients
