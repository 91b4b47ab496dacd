"""Same-padded cross-correlation and its gradients (paper section 2): a_i = P_i * x + b_i.

The gradient by x is a convolution too, with the filters turned around and maps and channels
exchanged; that of the filters is a product of the maps with the images' patches.
"""

from minisca.backends.cupy import device
from minisca.backends.cupy.device import empty, launch_over, on_device, zeros
from minisca.backends.cupy.kernels import convolution as products
from minisca.backends.cupy.kernels import direct
from minisca.backends.cupy.kernels.sums import channel_sums


def conv2d(x, filters, bias):
    """See `minisca.backends.interface.Backend.conv2d`."""
    x, filters, bias = on_device(x, filters, bias)
    maps = empty((x.shape[0], filters.shape[0], *x.shape[2:]), x.dtype)
    plan = direct.make_plan(x, filters)
    if plan is None:
        products.convolve(x, filters, bias, maps)
    else:
        direct.run("direct_maps", plan, x, filters, bias, maps)
    return maps


def conv2d_backward(x, filters, d_maps, needs_x=True):
    """See `minisca.backends.interface.Backend.conv2d_backward`."""
    x, filters, d_maps = on_device(x, filters, d_maps)
    d_x = None
    if needs_x:
        d_x = conv2d(d_maps, transposed(filters), zeros(x.shape[1], x.dtype))
    return d_x, products.correlate(d_maps, x, filters.shape[2]), channel_sums(d_maps)


def transposed(filters):
    """Filters (m, c, k, k) as (c, m, k, k), turned by half: what `conv2d` needs to be undone."""
    m, channels, k, _ = filters.shape
    turned = empty((channels, m, k, k), filters.dtype)
    launch_over(
        filters.size, "layout.cu", "transpose", device.options(filters.dtype),
        (filters, *device.ints(m, channels, k * k), turned),
    )  # fmt: skip
    return turned
