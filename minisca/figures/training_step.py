"""One step of training, from an image to the gradients, in one picture."""

import numpy as np

from minisca import encoding
from minisca.autoencoder import SparseConvAutoencoder
from minisca.figures.features import (
    BORDER,
    PANEL,
    Panel,
    check_image,
    count,
    heat,
    lay_out,
    ring_winners,
    size_of,
    tiled,
)
from minisca.figures.filters import filter_grid
from minisca.figures.page import import_matplotlib, near_square, stretch, zoom_to
from minisca.sparsity import make_sparsity
from minisca.validation import check_fitted, check_integer


def step(image, layer, max_maps=48):
    """A Page of all that a training step of one image makes, row by row.

    a the image; b the encoder's filters; c its maps, all units; d the units that survive; e the
    decoder's filters; f the reconstruction, which is made of them; g its error, the reconstruction
    less the image; h the gradient of the decoder's filters, for every map the error around its
    survivors, times their values; i that of the encoder's, the image around them, times what the
    decoder sends back. In b, e, g, h and i 0 is mid-grey. A step takes some of h and i off e and b.

    Parameters
    ----------
    image : array (c, h, w), c = 1 or 3
    layer : fitted SparseConvAutoencoder
        Its sparsity rule is that of training; of `lifetime`, which is a batch's, all survive.
    max_maps : int, default 48
        Of layers with more maps the first so many are shown.

    Raises
    ------
    ValueError or TypeError for an image unlike those of `fit` or one that cannot be shown, and for
    what is no layer; NotFittedError before `fit`.
    """
    if not isinstance(layer, SparseConvAutoencoder):
        raise TypeError(f"layer is {layer!r}; it must be a SparseConvAutoencoder")
    check_fitted(layer, "encoder_filters_")
    max_maps = check_integer("max_maps", max_maps)
    x = check_image(image, layer)
    import_matplotlib()
    maps, survivors = (each[:max_maps] for each in _units(*layer._checked(x)))
    rebuilt = layer.reconstruct(x)
    error = rebuilt - x
    loss, gradients = layer.loss_and_gradients(x)

    room = max(PANEL, near_square(len(maps)) * (2 * maps.shape[2] + BORDER) + BORDER)
    largest, shades = maps.max(), (x.min(), x.max())

    def filters(name, of):
        grid = _signed(of[:max_maps], room, shared_scale="gradient" in name)
        return Panel(name, count(layer, max_maps), grid)

    tied = "decoder_filters" not in gradients
    of_decoder = gradients["encoder_filters" if tied else "decoder_filters"]
    n_survivors = f"{np.count_nonzero(survivors)} units"
    panels = [
        Panel("image", size_of(x), tiled(stretch(x, *shades), room)),
        filters("encoder filters", layer.encoder_filters_),
        Panel("maps", f"values to {largest:.3g}", heat(maps, largest, room)),
        Panel("survivors", n_survivors, heat(survivors, largest, room)),
        filters("decoder filters", layer.decoder_filters_),
        Panel("reconstruction", size_of(x), tiled(stretch(rebuilt, *shades), room)),
        Panel("error", f"sum of squares {loss:.3g}", _signed(error, room)),
        filters("gradient, both" if tied else "gradient, decoder", of_decoder),
    ]
    if not tied:
        panels.append(filters("gradient, encoder", gradients["encoder_filters"]))
    page, places = lay_out(panels)
    if layer.sparsity == "winner-take-all":
        ring_winners(places[3], survivors, largest, room)
    return page


def _signed(cells, room, shared_scale=False):
    """Cells (n, c, h, w) as one picture in which 0 is mid-grey."""
    zoom = zoom_to(room, near_square(len(cells)), cells.shape[3], BORDER)
    return filter_grid(cells, shared_scale=shared_scale, border=BORDER, zoom=zoom)


def _units(backend, state, settings, X):
    """All units of an image's maps (m, h, w), as in training, and the same but for survivors: 0."""
    sparsity = make_sparsity(settings.sparsity, settings.n_active)
    parameters = encoding._where(backend, state.parameters)
    x = backend.to_device(X[:1])
    filters, bias = parameters["encoder_filters"], parameters["encoder_bias"]
    maps = backend.to_host(backend.relu(backend.conv2d(x, filters, bias)))[0]
    if sparsity.rule == "none":
        return maps, maps
    values, positions, of_maps = (
        None if each is None else backend.to_host(each)[0]
        for each in sparsity.encode(backend, x, filters, bias)
    )
    survivors = np.zeros((len(maps), maps[0].size), maps.dtype)
    survivors[np.arange(len(maps)) if of_maps is None else of_maps, positions] = values
    return maps, survivors.reshape(maps.shape)
