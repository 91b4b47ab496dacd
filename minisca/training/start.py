"""The filters that a layer starts from: noise, patches of the images, or those that were given."""

import math

import numpy as np

from minisca.backends.operands import as_real_array
from minisca.patches import check_patch_width, draw_patches
from minisca.training.state import PARAMETERS, LayerState
from minisca.validation import as_array, check_integer, check_number, misfits

#: What `init_filters` may be.
STARTS = ("random", "patches")
#: How often a blank patch is replaced by another one.
ROUNDS = 10


def start_filters(parameters, settings, X, random):
    """Put filters into {name: array}: of all of them, each its own noise, or one set of patches."""
    names = [name for name in parameters if name.endswith("filters")]
    drawn = parameters[names[0]].shape, settings.init_scale, random, settings.dtype
    filters = patches(X, *drawn) if settings.init_filters == "patches" else None
    for name in names:
        parameters[name] = noise(*drawn) if filters is None else filters.copy()


def noise(shape, scale, random, dtype):
    """Filters (m, c, k, k) of `dtype`: normal numbers of this standard deviation."""
    filters = np.zeros(shape, dtype)
    for own in filters:  # one by one: float64 of all would take long to allocate
        own[...] = scale * random.standard_normal(own.shape)
    return filters


def patches(X, shape, scale, random, dtype):
    """Filters (m, c, k, k) that are patches of images X, as long as filters of `noise` are.

    A patch that is blank is replaced by another; where there are none but blank ones, by noise.
    Raises ValueError for images that the filters do not fit into, or that have fewer patches.
    """
    m, width = shape[0], check_patch_width("filter_width", shape[-1], X.shape[2:])
    filters = draw_patches(X, m, width, random, dtype)
    if len(filters) < m:
        raise ValueError(
            f"X has {len(filters)} patches of {width}x{width}; with init_filters='patches' it must "
            f"have one a map, {m}"
        )
    for _ in range(ROUNDS):
        blank = np.flatnonzero(~filters.any(axis=(1, 2, 3)))
        if not len(blank):
            break
        filters[blank] = draw_patches(X, len(blank), width, random, dtype)
    for own in filters:
        exact = own.astype(np.float64)  # images may be in units whose squares float32 lacks
        length = math.sqrt(np.square(exact).sum())
        if not length:
            exact, length = random.standard_normal(own.shape), math.sqrt(own.size)
        own[...] = exact * (scale * math.sqrt(own.size) / length)
    return filters


def given_state(dtype, arrays, centre, image_size, patch_energy, random_state):
    """The LayerState of filters and biases from elsewhere; see `SparseConvAutoencoder`.

    arrays: of `PARAMETERS`, in their order; without decoder filters, None, these are the encoder's.
    Raises ValueError or TypeError, naming it, for what does not fit.
    """
    given = dict(zip(PARAMETERS, arrays, strict=True)) | {"centre": centre}
    filters = ("maps", "channels", "width", "width")
    shapes = filters, ("maps",), filters, ("channels",), ("channels",)
    shapes = {n: shape for n, shape in zip(given, shapes, strict=True) if given[n] is not None}
    arrays = {name: _given(name, given[name], shape, dtype) for name, shape in shapes.items()}
    for name, found, must in misfits(arrays, shapes):
        raise ValueError(f"{name} has shape {found}; it must be {must}, as the others ask")
    width = arrays["encoder_filters"].shape[2]
    if width % 2 == 0:
        raise ValueError(f"encoder_filters are {width} pixels wide; they must have an odd width")
    if not isinstance(image_size, list | tuple) or len(image_size) != 2:
        raise TypeError(f"image_size is {image_size!r}; it must be (height, width)")
    size = tuple(check_integer("image_size", side) for side in image_size)
    energy = check_number("patch_energy", patch_energy)
    centre = arrays.pop("centre", None)
    velocities = {name: np.zeros_like(array) for name, array in arrays.items()}
    random = np.random.default_rng(random_state).bit_generator.state
    n_channels = arrays["encoder_filters"].shape[1]
    return LayerState(arrays, velocities, random, n_channels, size, energy, centre=centre)


def _given(name, array, shape, dtype):
    """A copy of an array that is given, of `dtype`; refused unless finite in it."""
    array = as_real_array(name, as_array(name, array, f"({', '.join(shape)})"))
    with np.errstate(over="ignore", under="ignore"):
        own = np.array(array, dtype, order="C")
    if not np.isfinite(own).all():
        raise ValueError(f"{name} has values that are not finite in {np.dtype(dtype)}")
    return own
