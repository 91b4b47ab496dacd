"""Filters as pictures (paper Figures 1, 2, 4, 5), deeper layers' projected down to pixels."""

import numpy as np

from minisca.figures.page import Page, check_pictures, near_square, text_width, tile, zoom_to
from minisca.stack import Stack
from minisca.validation import check_fitted, check_integer


def filter_grid(filters, columns=None, shared_scale=False, border=1, zoom=1):
    """All filters in one picture: a weight of 0 is mid-grey, positive brighter, negative darker.

    Parameters
    ----------
    filters : array (m, c, k, k), c = 1 (grey) or 3 (colour)
    columns : int or None
        Filters a row; by default the grid is near to square.
    shared_scale : bool
        False: each filter reaches black or white at its own largest |weight|. True: all of them at
        the largest of all, so that weak filters look weak.
    border, zoom : int
        White pixels between and around the filters; pixels to the side of a weight.

    Returns
    -------
    float64 array (H, W) or (H, W, 3) of [0, 1], H = rows * (zoom * k + border) + border, W likewise

    Raises
    ------
    ValueError or TypeError for filters of another rank or number of channels, empty or not finite.
    """
    filters = _check_filters(filters)
    largest = np.abs(filters).max(axis=None if shared_scale else (1, 2, 3), keepdims=True)
    brightness = 0.5 + 0.5 * filters / np.where(largest > 0, largest, 1)
    if columns is None:
        columns = near_square(len(filters))
    else:
        columns = min(check_integer("columns", columns), len(filters))
    return tile(brightness, columns, border, zoom)


def save_filters(path, filters, title=None):
    """Write `draw_filters(filters, title)` to the PNG `path`."""
    draw_filters(filters, title).save(path)


def draw_filters(filters, title=None):
    """`filter_grid(filters)`, enlarged, on a Page, under a title if there is one.

    Parameters
    ----------
    filters : as of `filter_grid`, and what is raised
    title : str or None
    """
    filters = _check_filters(filters)
    border, margin, head = 6, 18, 60 if title else 18
    zoom = zoom_to(1000, near_square(len(filters)), filters.shape[3], border)
    grid = filter_grid(filters, border=border, zoom=zoom)
    height, width = grid.shape[:2]
    page = Page(max(width, text_width(title, 9)) + 2 * margin, height + head + margin)
    if title:
        page.text(margin + border, head / 2 + 4, title, 9)
    page.image(grid, margin, head)
    return page


def project_filters(stack, layer_index):
    """Decoder filters of a Stack's layer in pixels: every weight pastes the filter below it.

    Parameters
    ----------
    stack : fitted Stack
    layer_index : int
        From 0, which gives the first layer's own decoder filters.

    Returns
    -------
    float64 array (m, c, K, K), K = (k - 1) * pool_stride + (K of the layer below)

    Raises
    ------
    NotFittedError before `fit`, TypeError or ValueError for another stack or index.

    Notes
    -----
    An approximation: a pooled value does not say where in its window the largest unit was, so the
    middle is taken; a unit seen by overlapping windows is pasted by each; biases and rectifications
    are left out.
    """
    if not isinstance(stack, Stack):
        raise TypeError(f"stack is {stack!r}; it must be a Stack")
    check_fitted(stack, "layers_")
    index = check_integer("layer_index", layer_index, minimum=0)
    if index >= len(stack.layers_):
        raise ValueError(f"layer_index is {index}; it must be less than {len(stack.layers_)}")
    *below, top = stack.layers_[: index + 1]
    projected = top.decoder_filters_.astype(np.float64)
    for layer in reversed(below):
        lower, stride = layer.decoder_filters_, layer.pool_stride
        m, _, k, _ = projected.shape
        side = lower.shape[-1]
        width = (k - 1) * stride + side
        pixels = np.zeros((m, lower.shape[1], width, width))
        for row, column in np.ndindex(k, k):
            y, x = row * stride, column * stride
            patch = np.tensordot(projected[:, :, row, column], lower, axes=1)
            pixels[:, :, y : y + side, x : x + side] += patch
        projected = pixels
    return projected


def _check_filters(filters):
    advice = "; see a deeper layer's filters in pixels by project_filters(stack, layer_index)"
    return check_pictures(filters, "filters", advice)
