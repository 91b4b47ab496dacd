"""The linear decoder, the exact transpose of the same-padded convolution, and its gradients.

x_hat = b' + sum over maps i and their units of W_i, pasted there, times the unit (paper section 2).
"""

import numpy as np

from minisca.backends.cpu.conv import conv2d
from minisca.backends.cpu.kernels.dense import correlate_patches, paste_filters
from minisca.backends.cpu.runtime import operation


@operation
def deconv2d(maps, filters, bias):
    """See `minisca.backends.interface.Backend.deconv2d`."""
    images = paste_filters(maps, filters)
    images += bias[:, None, None]
    return images


@operation
def deconv2d_backward(maps, filters, d_images):
    """See `minisca.backends.interface.Backend.deconv2d_backward`."""
    d_maps = conv2d(d_images, filters, np.zeros(len(filters), maps.dtype))
    d_filters = correlate_patches(maps, d_images, filters.shape[2])
    return d_maps, d_filters, d_images.sum(axis=(2, 3)).sum(axis=0)
