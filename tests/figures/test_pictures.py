"""What layers and stacks show of themselves: plots, a page in a notebook, a step of training."""

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import minisca
from minisca import figures
from minisca.figures.html import png
from minisca.figures.page import Page
from tests.support.layers import images as make_images
from tests.support.layers import layer as make_layer
from tests.support.pixels import read_png, shown

VOID = {"img"}
PLOTS = {
    "plot_filters": lambda layer, images: layer.plot_filters(),
    "plot_maps": lambda layer, images: layer.plot_maps(images[3]),
    "plot_reconstruction": lambda layer, images: layer.plot_reconstruction(images[:5]),
    "plot_loss": lambda layer, images: layer.plot_loss(),
    "step": lambda layer, images: figures.step(images[3], layer),
}


class Checked(HTMLParser):
    """Refuses tags that are not closed in order; keeps text and pictures."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.pictures = [], "", []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag in VOID:
            self.pictures.append(dict(attributes))
        else:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.pictures.append(dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def decoded(picture):
    """The pixels (h, w, 3) of a picture in a page."""
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    start, _, data = picture["src"].partition(",")
    assert start == "data:image/png;base64"
    pixels = imread(io.BytesIO(base64.b64decode(data)), format="png")
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]


@pytest.fixture
def drawn():
    pytest.importorskip("matplotlib")


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_a_plot_shows_itself_in_a_notebook_and_can_be_written(drawn, plot, stack, images, tmp_path):
    page = plot(stack.layers_[0], images)
    assert isinstance(page, Page)
    data, size = page._repr_png_()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert size["width"] == page.width // 2
    page.save(tmp_path / "plot.png")
    assert read_png(tmp_path / "plot.png").shape == (page.height, page.width, 3)
    assert ".save(path)" in repr(page)


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_a_layer_that_is_not_fitted_has_nothing_to_show(plot, images):
    with pytest.raises(minisca.NotFittedError):
        plot(minisca.SparseConvAutoencoder(), images)


def test_plots_refuse_what_is_unlike_the_images_of_fit(stack, images):
    layer = stack.layers_[0]
    with pytest.raises(ValueError, match=r"images has shape \(12, 10\)"):
        layer.plot_reconstruction(images[0, 0])
    with pytest.raises(ValueError, match="images has 5 channels"):
        layer.plot_reconstruction(np.zeros((2, 5, 12, 10)))
    with pytest.raises(ValueError, match="image has images of 3x3 pixels"):
        figures.step(np.zeros((1, 3, 3)), layer)
    with pytest.raises(ValueError, match=r"5 channels .*only 1 \(grey\) or 3"):
        stack.layers_[1].plot_filters()
    empty = make_layer(n_epochs=0).fit(make_images())
    with pytest.raises(ValueError, match="loss_history_ is empty"):
        empty.plot_loss()


def test_the_loss_of_validation_images_stands_where_its_epochs_do(drawn):
    x = make_images()
    layer = make_layer(n_epochs=2).fit(x, validation_images=x[:5])
    (axes,) = layer.plot_loss().figure.axes
    training, validation = (line.get_xydata() for line in axes.lines)
    np.testing.assert_array_equal(training, [*enumerate(layer.loss_history_, 1)])
    np.testing.assert_array_equal(validation, [*enumerate(layer.validation_loss_history_, 1)])


def test_a_flat_layer_shows_its_maps_too(drawn):
    layer = make_layer(flat=True).fit(x := make_images())
    plain = make_layer().fit(x)
    assert layer.plot_maps(x[0])._repr_png_() == plain.plot_maps(x[0])._repr_png_()


# A step of training ---------------------------------------------------------------------------


def grid_cells(picture, n, columns, side, border=5):
    """The n cells of a grid of side pixels (h, w), as (n, h, w)."""
    height, width = side
    zoom = ((picture.shape[1] - border) // columns - border) // width
    found = []
    for row, column in list(np.ndindex(n, columns))[:n]:
        top, left = (
            border + row * (zoom * height + border),
            border + column * (zoom * width + border),
        )
        found.append(picture[top : top + zoom * height : zoom, left : left + zoom * width : zoom])
    return np.array(found)[..., 0]


def signed(values, largest):
    return np.rint(255 * (0.5 + 0.5 * values / largest)) / 255


@pytest.mark.parametrize("centre", [False, True])
def test_a_step_shows_reconstruction_error_and_gradients_as_they_are(drawn, centre):
    x = make_images()
    layer = make_layer(centre=centre, encoding_bias=0.1).fit(x)
    panels = [shown(axes) for axes in figures.step(x[3], layer).figure.axes]
    rebuilt = layer.reconstruct(x[3:4])
    error = (rebuilt - x[3:4])[0, 0]
    (found,) = grid_cells(panels[6], 1, 1, (8, 7))
    np.testing.assert_allclose(found, signed(error, np.abs(error).max()), atol=1 / 254)
    (found,) = grid_cells(panels[5], 1, 1, (8, 7))
    shades = np.clip((rebuilt[0, 0] - x[3].min()) / np.ptp(x[3]), 0, 1)
    np.testing.assert_allclose(found, shades, atol=1 / 254)
    _, gradients = layer.loss_and_gradients(x[3:4])
    for panel, name in ((7, "decoder_filters"), (8, "encoder_filters")):
        gradient = gradients[name][:, 0]
        found = grid_cells(panels[panel], 4, 2, (3, 3))
        np.testing.assert_allclose(found, signed(gradient, np.abs(gradient).max()), atol=1 / 254)


RULES = {
    "winner-take-all": {},
    "top-n": {"sparsity": "top-n", "n_active": 2},
    "k-largest": {"sparsity": "k-largest", "n_active": 5},
    "none": {"sparsity": "none", "learning_rate": 0.003},
}


@pytest.mark.parametrize("settings", RULES.values(), ids=RULES)
def test_a_step_shows_the_units_that_survive_under_any_rule(drawn, settings):
    x = make_images()
    layer = make_layer(n_epochs=1, **settings).fit(x)
    page = figures.step(x[3], layer)
    panels = [shown(axes) for axes in page.figure.axes]
    maps, survivors = (grid_cells(panels[n], 4, 2, (8, 7)) for n in (2, 3))
    dark = maps.min()
    np.testing.assert_array_equal(survivors[survivors > dark], maps[survivors > dark])
    active = (survivors > dark).sum(axis=(1, 2))
    if layer.sparsity == "winner-take-all":
        assert active.max() == 1
    elif layer.sparsity == "top-n":
        assert 1 <= active.max() <= 2
    elif layer.sparsity == "k-largest":
        assert 1 <= active.sum() <= 5
    else:
        np.testing.assert_array_equal(survivors, maps)


def test_a_step_is_of_a_layer(stack):
    for wrong in (stack, 5):
        with pytest.raises(TypeError, match="it must be a SparseConvAutoencoder"):
            figures.step(make_images()[0], wrong)


def test_tied_filters_have_one_gradient(drawn):
    layer = make_layer(tied=True).fit(x := make_images())
    page = figures.step(x[3], layer)
    assert len(page.figure.axes) == 8
    assert "gradient, both" in {text.get_text() for text in page.figure.texts}


# A page in a notebook -------------------------------------------------------------------------


def test_the_page_of_a_layer_has_its_parameters_its_filters_and_its_loss(stack):
    layer = stack.layers_[0]
    page = Checked(layer._repr_html_())
    for text in ("SparseConvAutoencoder", "5 maps of 3 × 3", "1 epoch,", "pool_stride", "momentum"):
        assert text in page.text
    assert f"loss {layer.loss_history_[-1]:.4g}" in page.text
    (picture,) = page.pictures
    expected = np.rint(255 * figures.filter_grid(layer.decoder_filters_)) / 255
    np.testing.assert_allclose(decoded(picture)[..., 0], expected, atol=1e-6)


def test_the_page_of_a_stack_has_all_layers_with_filters_in_pixels(stack):
    page = Checked(stack._repr_html_())
    assert "layer 1: 5 maps of 3 × 3" in page.text
    assert "layer 2: 7 maps of 3 × 3" in page.text
    first, second = map(decoded, page.pictures)
    projected = np.rint(255 * figures.filter_grid(figures.project_filters(stack, 1))) / 255
    np.testing.assert_allclose(second[..., 0], projected, atol=1e-6)
    assert first.shape != second.shape


def test_what_is_not_fitted_or_cannot_be_shown_has_a_page_without_filters(stack):
    for estimator in (make_layer(), minisca.Stack([make_layer()]), stack.layers_[1]):
        page = Checked(estimator._repr_html_())
        assert not page.pictures
    assert "not fitted" in Checked(minisca.Stack([make_layer()])._repr_html_()).text


def test_text_in_parameters_is_no_code():
    page = Checked(make_layer(sparsity="<script>alert(1)</script>")._repr_html_())
    assert "<script>alert(1)</script>" in page.text
    assert "script" not in page.open


def test_of_many_maps_some_are_shown_and_the_page_says_so():
    layer = make_layer(n_maps=70, n_epochs=0).fit(make_images())
    (picture,) = Checked(layer._repr_html_()).pictures
    assert picture["alt"] == "decoder filters, 64 of 70"
    assert re.search(r"max-width:100%;image-rendering:pixelated", picture["style"])


def test_pages_are_made_without_matplotlib():
    code = (
        "import sys\nfrom tests.support.layers import images, layer\n"
        "page = layer(n_epochs=0).fit(images())._repr_html_()\n"
        "assert 'img' in page and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pictures_in_pages_keep_their_colours():
    colours = np.random.default_rng(0).random((4, 3, 3))
    picture = {"src": f"data:image/png;base64,{base64.b64encode(png(colours)).decode()}"}
    np.testing.assert_allclose(decoded(picture), np.rint(255 * colours) / 255, atol=1e-6)
