"""The linear decoder of dense maps and its gradients (paper section 2): a convolution undone.

Every unit pastes its filter around its place; seen from a pixel that is a convolution with the
filters turned around. `winners` decodes sparse codes without dense maps.
"""

from minisca.backends.numba_cuda import conv
from minisca.backends.numba_cuda.device import on_device, zeros


def deconv2d(maps, filters, bias):
    """See `minisca.backends.interface.Backend.deconv2d`."""
    maps, filters, bias = on_device(maps, filters, bias)
    return conv.conv2d(maps, conv.transposed(filters), bias)


def deconv2d_backward(maps, filters, d_images):
    """See `minisca.backends.interface.Backend.deconv2d_backward`."""
    maps, filters, d_images = on_device(maps, filters, d_images)
    no_bias = zeros(maps.shape[1], maps.dtype)
    d_maps = conv.conv2d(d_images, filters, no_bias)
    d_filters = conv.correlate_patches(maps, d_images, filters.shape[2])
    return d_maps, d_filters, conv.channel_sums(d_images, 1)
