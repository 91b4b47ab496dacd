"""A fitted layer or stack as a module of PyTorch's. Only `to_torch` imports this, and PyTorch."""

import math

try:
    import torch
    from torch.nn import functional as F  # noqa: N812  # PyTorch's own name for it
except ImportError as error:
    raise ImportError('PyTorch is missing: pip install "minisca[torch]"') from error

from minisca.backends.pool_windows import pool_windows
from minisca.validation import check_fitted


def module_of(estimator):
    """What `to_torch` of a layer or a stack returns."""
    if not hasattr(estimator, "layers"):
        return layer_module(estimator, estimator.flat)
    check_fitted(estimator, "layers_")
    *below, top = estimator.layers_
    modules = [layer_module(layer, False) for layer in below]
    return torch.nn.Sequential(*modules, layer_module(top, estimator.flat))


def layer_module(layer, flat):
    """The module of a layer; flat: whether it makes rows."""
    state, contrast = layer._fitted_state(), None
    layer.check_parameters()
    state.check_arrays()
    bias = float(layer.encoding_bias) * state.get("encoder_bias")
    if layer.encoding_contrast is not None and state.patch_energy:
        contrast = float(layer.encoding_contrast), float(state.patch_energy)
    pooling = layer.pool_width, layer.pool_stride, layer.pool_origin
    return Features(state.get("encoder_filters"), bias, state.centre, contrast, pooling, flat)


class Features(torch.nn.Module):
    """Images (n, c, h, w) to features (n, m, h', w'), or with `flat` (n, m * h' * w').

    filters (m, c, k, k), bias (m,) and centre (c,) or None: NumPy arrays, which are copied. The
    first two are parameters, which may be trained. contrast: (epsilon, E) or None. pooling: width,
    stride and origin.
    """

    def __init__(self, filters, bias, centre, contrast, pooling, flat):
        super().__init__()
        self.filters = torch.nn.Parameter(torch.tensor(filters))
        self.bias = torch.nn.Parameter(torch.tensor(bias))
        centre = None if centre is None else torch.tensor(centre)
        self.register_buffer("centre", centre)
        self.contrast, self.pooling, self.flat = contrast, pooling, flat

    def forward(self, x):
        if self.centre is not None:
            x = x - self.centre[:, None, None]
        maps = F.conv2d(x, self.filters, padding=self.filters.shape[-1] // 2)
        if self.contrast is not None:
            maps = maps * self._factors(x)
        features = self._pooled(F.relu(maps + self.bias[:, None, None]))
        return features.flatten(1) if self.flat else features

    def extra_repr(self):
        """What PyTorch shows of the module."""
        shape, (width, stride, origin) = tuple(self.filters.shape), self.pooling
        shown = f"filters={shape}, pool_width={width}, pool_stride={stride}, pool_origin={origin!r}"
        for name, value in (("contrast", self.contrast), ("flat", self.flat or None)):
            shown += "" if value is None else f", {name}={value}"
        return shown

    def _factors(self, x):
        """1 / s (n, 1, h, w), see `SparseConvAutoencoder`; the squares are of pixels in a unit."""
        (epsilon, energy), width = self.contrast, self.filters.shape[-1]
        size, numbers = x.shape[1] * width**2, torch.finfo(x.dtype)
        unit = max(math.sqrt(energy / size), numbers.tiny)
        box = torch.ones((1, x.shape[1], width, width), dtype=x.dtype, device=x.device)
        norms = F.conv2d((x / unit) ** 2, box, padding=width // 2).double()
        squared = (norms / size + epsilon) / (1 + epsilon)
        return squared.rsqrt().clamp(max=numbers.max).to(x.dtype)

    def _pooled(self, maps):
        """Maps are never negative: zeros around them change no window that they stick out of."""
        width, stride, _ = self.pooling
        padding = []
        windows = pool_windows(maps.shape[2:], *self.pooling)
        for side, n, first in zip(maps.shape[2:], *windows, strict=True):
            padding = [-first, first + (n - 1) * stride + width - side, *padding]
        return F.max_pool2d(F.pad(maps, padding), width, stride)
