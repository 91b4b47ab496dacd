"""An image on its way through the layers (paper Figure 3)."""

from typing import NamedTuple

import numpy as np

from minisca.autoencoder import SparseConvAutoencoder
from minisca.figures.filters import filter_grid
from minisca.figures.page import (
    DPI,
    FAINT,
    Page,
    check_pictures,
    import_matplotlib,
    near_square,
    stretch,
    tile,
    zoom_to,
)
from minisca.stack import Stack
from minisca.validation import as_array, check_fitted, check_images, check_integer

#: Pixels: the width that panels come close to, unless large maps need more, and the lines between.
PANEL = 500
BORDER = 5


class Panel(NamedTuple):
    """A picture (h, w) or (h, w, 3) of [0, 1], its name, and what stands in grey beside it."""

    name: str
    note: str
    picture: np.ndarray


def winner_maps(values, positions, size):
    """Maps (n, m, *size) that are 0 everywhere but at their winner, as while training.

    Parameters
    ----------
    values, positions : arrays (n, m), as `SparseConvAutoencoder.winners` returns them
    size : (h, w) of the maps; ValueError if it does not fit
    """
    values, positions = np.asarray(values), np.asarray(positions)
    if values.ndim != 2 or values.shape != positions.shape:
        raise ValueError(
            f"values has shape {values.shape} and positions {positions.shape}; "
            "both must be (n, maps)"
        )
    height, width = size
    if positions.size and not 0 <= positions.min() <= positions.max() < height * width:
        raise ValueError(
            f"positions has {positions.min()} to {positions.max()}; they must be from 0 to "
            f"{height * width - 1} in maps of {height}x{width}"
        )
    maps = np.zeros((*values.shape, height * width), values.dtype)
    np.put_along_axis(maps, positions[..., None].astype(np.intp), values[..., None], axis=2)
    return maps.reshape(*values.shape, height, width)


def save_feature_panels(path, image, model, max_maps=48):
    """Write `draw_feature_panels(image, model, max_maps)` to the PNG `path`."""
    draw_feature_panels(image, model, max_maps).save(path)


def draw_feature_panels(image, model, max_maps=48):
    """A Page of the paper's Figure 3 (arXiv 1409.2752v1) of one image.

    a the image; b the first layer's decoder filters; c its maps with their winners alone: each
    ringed, and its value written if there are few maps; d its maps with the sparsity turned off; e
    the same after max-pooling; f for a Stack of two layers or more, the second layer's maps after
    pooling. The maps of c, d and e share one scale.

    Parameters
    ----------
    image : array (c, h, w), c = 1 or 3
    model : fitted SparseConvAutoencoder or Stack
    max_maps : int
        Of layers with more maps the first so many are shown.

    Raises
    ------
    ValueError or TypeError for an image unlike those of `fit` or one that cannot be shown,
    NotFittedError before `fit`.
    """
    layers = _layers(model)
    max_maps = check_integer("max_maps", max_maps)
    first = layers[0]
    x = check_image(image, first)
    import_matplotlib()

    values, positions = (code[:, :max_maps] for code in first.winners(x))
    maps = first.feature_maps(x)[0, :max_maps]
    pooled = np.reshape(first.transform(x), (1, *first._features_shape()))
    filters = first.decoder_filters_[:max_maps]
    columns = near_square(len(maps))
    room = max(PANEL, columns * (2 * maps.shape[2] + BORDER) + BORDER)
    zoom = zoom_to(room, columns, filters.shape[3], BORDER)
    winners = winner_maps(values, positions, maps.shape[1:])[0]
    largest = maps.max()
    training = "while training" if first.sparsity == "winner-take-all" else "winners"
    grid = filter_grid(filters, border=BORDER, zoom=zoom)
    panels = [
        Panel("image", size_of(x), tiled(stretch(x, x.min(), x.max()), room)),
        Panel("decoder filters", count(first, max_maps), grid),
        Panel(training, size_of(maps), heat(winners, largest, room)),
        Panel("sparsity off", f"values to {largest:.3g}", heat(maps, largest, room)),
        Panel("max-pooled", size_of(pooled), heat(pooled[0, :max_maps], largest, room)),
    ]
    if len(layers) > 1:
        maps = layers[1].transform(pooled)[0, :max_maps]
        name = f"second layer, {count(layers[1], max_maps)}"
        panels.append(Panel(name, size_of(maps), heat(maps, maps.max(), room)))
    page, places = lay_out(panels)
    ring_winners(places[2], winners, largest, room)
    return page


def check_image(image, layer):
    """Images (1, c, h, w) of an image (c, h, w) like those of the layer's `fit`, or an error."""
    image = as_array("image", image, "(channels, height, width)")
    if image.ndim != 3:
        raise ValueError(f"image has shape {image.shape}; it must be (channels, height, width)")
    x = check_images(image[None], "image", layer.n_channels_, layer.image_size_)
    check_pictures(x, "image", "; of a deeper layer give the Stack, and an image for its first")
    return x


def _layers(model):
    """The fitted layers of a Stack or of a single autoencoder."""
    if isinstance(model, Stack):
        check_fitted(model, "layers_")
        return model.layers_
    if not isinstance(model, SparseConvAutoencoder):
        raise TypeError(f"model is {model!r}; it must be a SparseConvAutoencoder or a Stack")
    check_fitted(model, "encoder_filters_")
    return [model]


def count(layer, max_maps):
    n_maps = len(layer.decoder_filters_)
    return f"{max_maps} of {n_maps} maps" if n_maps > max_maps else f"{n_maps} maps"


def size_of(maps):
    return "{}×{}".format(*maps.shape[-2:])


def tiled(cells, room):
    """Cells (n, c, h, w) as one picture that takes most of `room` pixels from left to right."""
    columns = near_square(len(cells))
    return tile(cells, columns, BORDER, zoom_to(room, columns, cells.shape[3], BORDER))


def heat(maps, largest, room):
    """Maps (m, h, w) as one picture, from 0 (black) to `largest` (pale yellow)."""
    from matplotlib import colormaps

    colours = colormaps["inferno"](stretch(maps, 0, largest))[..., :3]
    return tiled(np.moveaxis(colours, -1, 1), room)


def lay_out(panels):
    """A page of up to nine panels, three a row, and the axes of each."""
    margin, gap, head = 30, 40, 64
    rows = [panels[start : start + 3] for start in range(0, len(panels), 3)]
    side = max(max(panel.picture.shape[:2]) for panel in panels)
    heights = [head + max(panel.picture.shape[0] for panel in row) for row in rows]
    page = Page(2 * margin + 3 * side + 2 * gap, sum(heights) + gap * (len(rows) - 1) + margin)
    places = []
    for number, panel in enumerate(panels):
        row, column = divmod(number, 3)
        left = margin + column * (side + gap)
        top = sum(heights[:row]) + gap * row
        width = panel.picture.shape[1]
        page.text(left + 5, top + head / 2, "abcdefghi"[number], 9, weight="bold")
        page.text(left + 38, top + head / 2, panel.name)
        page.text(left + width - 5, top + head / 2, panel.note, 7, ha="right", color=FAINT)
        places.append(page.image(panel.picture, left, top + head))
    return page, places


def ring_winners(axes, winners, largest, room):
    """Ring the active unit of each map (m, h, w) in its picture; with few maps, write its value."""
    from matplotlib import colormaps

    columns, side = near_square(len(winners)), winners.shape[1:]
    zoom = zoom_to(room, columns, side[1], BORDER)
    ring = {"s": (max(9, 3 * zoom) * 72 / DPI) ** 2, "facecolor": "none", "linewidth": 0.6}
    for index, winner in enumerate(winners):
        top, left = (
            BORDER + at * (zoom * length + BORDER)
            for at, length in zip(divmod(index, columns), side, strict=True)
        )
        row, column = np.unravel_index(winner.argmax(), side)
        value = winner[row, column]
        if value > 0:
            colour = colormaps["inferno"](0.4 + 0.6 * value / largest)  # never lost in the black
            x, y = left + zoom * (column + 0.5) - 0.5, top + zoom * (row + 0.5) - 0.5
            axes.scatter(x, y, edgecolor=colour, clip_on=False, **ring)
        if columns <= 5:
            label = f"{value:.{2 if 0 < value < 10 else 0}f}"
            upper = row >= side[0] / 2  # out of the ring's way
            y, va = (top + 5, "top") if upper else (top + zoom * side[0] - 6, "bottom")
            axes.text(left + 6, y, label, va=va, color="#bbbbbb", fontsize=5)
