"""The linear decoder of dense maps and its gradients (paper section 2): a convolution undone.

Every unit pastes its filter around its position; seen from a pixel that is a convolution with the
filters turned around. `winners` decodes sparse codes without dense maps.
"""

from minisca.backends.numba_cuda.kernels.convolution import convolve, correlate, transposed
from minisca.backends.numba_cuda.kernels.sums import channel_sums
from minisca.backends.numba_cuda.runtime.arrays import operation, zeros


@operation
def deconv2d(maps, filters, bias):
    """See `minisca.backends.interface.Backend.deconv2d`."""
    return convolve(maps, transposed(filters), bias)


@operation
def deconv2d_backward(maps, filters, d_images):
    """See `minisca.backends.interface.Backend.deconv2d_backward`."""
    d_maps = convolve(d_images, filters, zeros(maps.shape[1], maps.dtype))
    d_filters = correlate(maps, d_images, filters.shape[2])
    return d_maps, d_filters, channel_sums(d_images)
