"""Where things stand in the pictures: winners and their rings, captions, classes, curves."""

import numpy as np
import pytest

from minisca import figures
from tests.support.pixels import box, keep_pages, shown, texts


@pytest.fixture
def pages(monkeypatch):
    return keep_pages(monkeypatch)


def cells(picture, n, columns, border=5):
    """The n cells of a grid of 12 x 10 pixels, each a square of several, as (n, 12, 10, 3)."""
    zoom = ((picture.shape[1] - border) // columns - border) // 10
    step_y, step_x = 12 * zoom + border, 10 * zoom + border
    corners = [(border + r * step_y, border + c * step_x) for r, c in np.ndindex(n, columns)][:n]
    found = [picture[y : y + 12 * zoom, x : x + 10 * zoom] for y, x in corners]
    return np.array([cell[::zoom, ::zoom] for cell in found]), zoom, corners


def test_panels_have_the_winners_alone_then_the_whole_maps_on_one_scale(pages, stack, images):
    """Not brightness alone: each place has the shade that its value has in both."""
    layer = stack.layers_[0]
    figures.save_feature_panels("p.png", images[3], stack)
    axes = pages[0].figure.axes
    maps, (values, positions) = layer.feature_maps(images[3:4])[0], layer.winners(images[3:4])
    (winners, _, _), (whole, _, _) = (cells(shown(axes[n]), 5, 3) for n in (2, 3))
    from matplotlib import colormaps

    def shades(values):
        return np.rint(255 * colormaps["inferno"](values / maps.max())[..., :3]) / 255

    np.testing.assert_array_equal(whole, shades(maps))
    alone = np.zeros((5, 120))
    alone[np.arange(5), positions[0]] = values[0]
    np.testing.assert_array_equal(winners, shades(alone.reshape(5, 12, 10)))
    image, *_ = cells(shown(axes[0]), 1, 1)
    pixels = images[3, 0].astype(np.float64)
    expected = np.rint(255 * (pixels - pixels.min()) / np.ptp(pixels)) / 255
    np.testing.assert_array_equal(image[0, :, :, 0], expected)


def test_every_winner_has_its_ring_around_it_and_its_value_in_its_map(pages, stack, images):
    layer = stack.layers_[0]
    figures.save_feature_panels("p.png", images[3], layer)
    axes = pages[0].figure.axes[2]
    values, positions = (code[0] for code in layer.winners(images[3:4]))
    _, zoom, corners = cells(shown(axes), 5, 3)
    active = values > 0
    middles = [
        (left + zoom * (place % 10 + 0.5) - 0.5, top + zoom * (place // 10 + 0.5) - 0.5)
        for place, (top, left) in zip(positions, corners, strict=True)
    ]
    rings = [ring.get_offsets()[0] for ring in axes.collections]
    np.testing.assert_allclose(rings, np.array(middles)[active])
    for text, value, (top, left) in zip(axes.texts, values, corners, strict=True):
        x, y = text.get_position()
        assert left < x < left + 10 * zoom
        assert top < y < top + 12 * zoom
        assert float(text.get_text()) == pytest.approx(value, abs=0.006 if 0 < value < 10 else 0.6)


def test_panels_stand_three_a_row_in_the_order_of_their_letters(pages, stack, images):
    figures.save_feature_panels("p.png", images[3], stack)
    (page,) = pages
    corners = [box(page, axes)[:2] for axes in page.figure.axes]
    assert [left for left, _ in corners[:3]] == [left for left, _ in corners[3:]]
    assert corners[0][0] < corners[1][0] < corners[2][0]
    assert corners[0][1] == corners[2][1] < corners[3][1] == corners[5][1]
    written = texts(page)
    names = ["image", "decoder filters", "while training", "sparsity off", "max-pooled"]
    for (left, top), name in zip(corners, [*names, "second layer, 7 maps"], strict=True):
        x, y = written[name]
        assert left < x < left + 100
        assert top - 64 < y < top


def test_under_a_wrong_image_stands_its_true_label_and_then_what_was_predicted(pages):
    images = np.random.default_rng(0).random((9, 1, 8, 8))
    true = np.array(["cat", "dog", "eel"] * 3)
    predicted = true.copy()
    predicted[[1, 2, 5, 8]] = ["eel", "cat", "dog", "cat"]
    figures.save_misclassified("m.png", images, true, predicted)
    (page,) = pages
    found = {text: place for text, place in texts(page).items() if " → " in text}
    assert [*found] == ["dog → eel", "eel → cat", "eel → dog"]  # two are alike
    assert "4 of 9 misclassified: 44.44 %" in texts(page)
    captions = [text for text in page.figure.texts if " → " in text.get_text()]
    for axes, caption, n in zip(page.figure.axes, captions, (1, 2, 5, 8), strict=True):
        picture = shown(axes)[::14, ::14, 0]
        low, high = images[n].min(), images[n].max()
        np.testing.assert_array_equal(
            picture, np.rint(255 * (images[n, 0] - low) / (high - low)) / 255
        )
        assert caption.get_text() == f"{true[n]} → {predicted[n]}"
        left, _, right, bottom = box(page, axes)
        assert caption.get_position()[0] * page.width == pytest.approx((left + right) / 2, abs=1)
        assert 0 < (1 - caption.get_position()[1]) * page.height - bottom < 40


def test_true_classes_are_rows_and_predicted_ones_columns(pages):
    figures.save_confusion_matrix("c.png", [0, 0, 0, 1, 2], [1, 1, 1, 0, 2], ["a", "b", "c"])
    (axes,) = pages[0].figure.axes
    written = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    assert written == {(0, 1): "3", (1, 0): "1", (2, 2): "1"}
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    assert axes.yaxis_inverted()
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["a", "b", "c"]
    assert "4 of 5 misclassified: 80.00 %" in texts(pages[0])


def test_curves_have_their_points_labels_and_axes(pages):
    curves = {"loss": [3.0, 2.0], "other": ([10, 30], [4.0, 5.0])}
    figures.save_curves("c.png", curves, xlabel="maps", ylabel="accuracy", log="x", n_colours=1)
    (axes,) = pages[0].figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["loss"].get_xydata().tolist() == [[1, 3], [2, 2]]
    assert lines["other"].get_xydata().tolist() == [[10, 4], [30, 5]]
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("maps", "accuracy")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
