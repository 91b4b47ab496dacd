"""Same-padded cross-correlation and its gradients (paper section 2): a_i = P_i * x + b_i.

The gradient by x is a convolution too, with the filters turned around and maps and channels
exchanged; that of the filters is one sum a tap.
"""

from minisca.backends.numba_cuda.kernels.convolution import convolve, correlate, transposed
from minisca.backends.numba_cuda.kernels.sums import channel_sums
from minisca.backends.numba_cuda.runtime.arrays import operation, zeros


@operation
def conv2d(x, filters, bias):
    """See `minisca.backends.interface.Backend.conv2d`."""
    return convolve(x, filters, bias)


@operation
def conv2d_backward(x, filters, d_maps, needs_x=True):
    """See `minisca.backends.interface.Backend.conv2d_backward`."""
    d_x = None
    if needs_x:
        d_x = convolve(d_maps, transposed(filters), zeros(x.shape[1], x.dtype))
    return d_x, correlate(d_maps, x, filters.shape[2]), channel_sums(d_maps)
