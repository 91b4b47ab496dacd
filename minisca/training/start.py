"""The filters that a layer starts from: noise, or patches of the images that it learns from."""

import math

import numpy as np

from minisca.patches import check_patch_width, draw_patches

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
