"""Figures: every pixel where the numbers say, and files that a reader can open."""

import re
import subprocess
import sys

import numpy as np
import pytest

from minisca import SparseConvAutoencoder, figures
from minisca.figures.page import Page, near_square, text_width
from tests.support.pixels import place, places, read_png


@pytest.mark.parametrize(
    ("m", "columns"), [(1, 1), (2, 2), (5, 3), (16, 4), (32, 6), (48, 8), (128, 12)]
)
def test_grids_are_near_to_square(m, columns):
    assert near_square(m) == columns


def test_grid_has_every_filter_at_its_place_between_borders():
    filters = np.random.default_rng(0).standard_normal((5, 1, 3, 3))
    grid = figures.filter_grid(filters, columns=2)
    assert grid.shape == (3 * 4 + 1, 2 * 4 + 1)
    for index, (weights,) in enumerate(filters):
        row, column = divmod(index, 2)
        cell = grid[4 * row + 1 : 4 * row + 4, 4 * column + 1 : 4 * column + 4]
        expected = 0.5 + 0.5 * weights / np.abs(weights).max()
        np.testing.assert_array_equal(cell, expected, f"filter {index}")
    np.testing.assert_array_equal(grid[::4], 1, "the borders are white")
    np.testing.assert_array_equal(grid[:, ::4], 1, "the borders are white")
    np.testing.assert_array_equal(grid[8:, 4:], 1, "the cell left over is white")


def test_zero_is_mid_grey_and_the_largest_weight_black_or_white():
    filters = np.array([[0, 1, -4], [0, 2, 1], [0, 0, 0]], float).reshape(3, 1, 1, 3)
    rows = figures.filter_grid(filters, columns=1, border=0)
    np.testing.assert_array_equal(rows, [[0.5, 0.625, 0], [0.5, 1, 0.75], [0.5, 0.5, 0.5]])
    shared = figures.filter_grid(filters, columns=1, border=0, shared_scale=True)
    np.testing.assert_array_equal(shared, [[0.5, 0.625, 0], [0.5, 0.75, 0.625], [0.5, 0.5, 0.5]])


def test_colour_filters_keep_their_channels_on_one_scale():
    filters = np.zeros((1, 3, 1, 1))
    filters[0, :, 0, 0] = 2, -1, 0
    grid = figures.filter_grid(filters, border=0)
    np.testing.assert_array_equal(grid, [[[1, 0.25, 0.5]]])


def test_zoom_repeats_every_weight():
    filters = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    plain = figures.filter_grid(filters, border=0)
    zoomed = figures.filter_grid(filters, border=0, zoom=4)
    np.testing.assert_array_equal(zoomed, np.kron(plain, np.ones((4, 4))))


def test_saved_filters_are_the_grid_pixel_for_pixel(tmp_path):
    filters = np.random.default_rng(0).standard_normal((6, 1, 5, 5))
    figures.save_filters(tmp_path / "filters.png", filters, title="Six")
    grid = figures.filter_grid(filters, border=6, zoom=24)
    assert places(read_png(tmp_path / "filters.png"), grid)


def test_projected_filters_paste_lower_filters_at_the_pooling_stride(stack):
    lower, upper = stack.layers_
    projected = figures.project_filters(stack, 1)
    assert projected.shape == (7, 1, 2 * 2 + 3, 2 * 2 + 3)
    expected = np.zeros_like(projected)
    for unit, below, row, column in np.ndindex(upper.decoder_filters_.shape):
        weight = float(upper.decoder_filters_[unit, below, row, column])
        for y, x in np.ndindex(3, 3):
            pasted = weight * float(lower.decoder_filters_[below, 0, y, x])
            expected[unit, 0, 2 * row + y, 2 * column + x] += pasted
    np.testing.assert_allclose(projected, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_first_layer_projects_to_its_own_filters(stack):
    own = stack.layers_[0].decoder_filters_
    np.testing.assert_array_equal(figures.project_filters(stack, 0), own)


def test_winner_maps_hold_the_winners_and_nothing_else(stack, images):
    layer = stack.layers_[0]
    values, positions = layer.winners(images)
    maps = figures.winner_maps(values, positions, images.shape[2:])
    assert maps.shape == (20, 5, 12, 10)
    rows, columns = np.divmod(positions, 10)
    images_, maps_ = np.indices(values.shape)
    np.testing.assert_array_equal(maps[images_, maps_, rows, columns], values)
    assert np.count_nonzero(maps) == np.count_nonzero(values)
    full = layer.feature_maps(images)
    # Convolved in another order of sums, perhaps: the same up to float32's rounding.
    np.testing.assert_allclose(maps.max(axis=(2, 3)), full.max(axis=(2, 3)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2])
def test_feature_panels_are_written_for_layer_and_stack(tmp_path, stack, images, depth):
    path = tmp_path / "panels.png"
    figures.save_feature_panels(path, images[0], stack if depth == 2 else stack.layers_[0])
    page = read_png(path)
    filters = stack.layers_[0].decoder_filters_
    assert places(page, figures.filter_grid(filters, border=5, zoom=24))
    third = page[page.shape[0] // 2 + 60 :, 2 * page.shape[1] // 3 :]
    assert (third.min() < 1) == (depth == 2), "the sixth panel is the second layer's"


def test_feature_panels_of_silent_maps(tmp_path, images):
    layer = SparseConvAutoencoder(n_maps=60, filter_width=3, n_epochs=0, random_state=0)
    layer.fit(images).encoder_bias_[...] = -100
    figures.save_feature_panels(tmp_path / "panels.png", images[0], layer, max_maps=8)
    assert read_png(tmp_path / "panels.png").size


def test_reconstructions_stand_under_their_originals_on_one_scale(tmp_path):
    originals = np.random.default_rng(0).random((5, 1, 8, 8))
    originals[0, 0, 0, :2] = 0, 1
    rebuilt = 2 * originals - 0.5
    figures.save_reconstructions(tmp_path / "r.png", originals, rebuilt, columns=3)
    page = read_png(tmp_path / "r.png")
    upper, lower = (
        [place(page, np.kron(picture, np.ones((6, 6)))) for (picture,) in np.clip(pictures, 0, 1)]
        for pictures in (originals, rebuilt)
    )
    for (top, left), (below, same) in zip(upper, lower, strict=True):
        assert below - top >= 48
        assert left == same
    assert upper[0][0] == upper[2][0] < lower[0][0] < upper[3][0] < lower[3][0]  # three a row
    assert upper[0][1] == upper[3][1] < upper[1][1] == upper[4][1] < upper[2][1]


def test_reconstructions_wrap_in_rows_about_equally_long_and_may_be_coloured(tmp_path):
    images, pages = np.random.default_rng(0).random((16, 3, 8, 8)), {}
    for columns in (16, 8, 10, 6):
        figures.save_reconstructions(tmp_path / "r.png", images, images, columns=columns)
        pages[columns] = read_png(tmp_path / "r.png")
    assert pages[6].shape[0] > 2.5 * pages[16].shape[0]
    assert (pages[8][..., 0] != pages[8][..., 1]).any()
    np.testing.assert_array_equal(pages[8], pages[10])


@pytest.mark.parametrize("log", [False, True, "x", "xy"])
def test_curves_are_written(tmp_path, log):
    curves = {"layer 1": [3.5, 2.5, 2.4], "": ([10, 100, 1000], [1, 20, 300])}
    path = tmp_path / "new" / "curves.png"
    figures.save_curves(path, curves, title="Loss", log=log)
    assert read_png(path).shape == (800, 1200, 3)


def test_confusion_matrix_counts_true_classes_in_rows():
    counts, classes = figures.confusion_matrix([3, 3, 5, 3], [3, 5, 5, 7])
    np.testing.assert_array_equal(classes, [3, 5, 7])
    np.testing.assert_array_equal(counts, [[1, 1, 1], [0, 1, 0], [0, 0, 0]])
    counts, classes = figures.confusion_matrix(["b", "a"], ["a", "a"])
    np.testing.assert_array_equal(classes, ["a", "b"])
    np.testing.assert_array_equal(counts, [[1, 0], [1, 0]])


def test_confusion_matrix_keeps_classes_that_never_occur():
    counts, classes = figures.confusion_matrix([0, 2], [2, 2], n_classes=4)
    np.testing.assert_array_equal(classes, range(4))
    np.testing.assert_array_equal(np.argwhere(counts), [[0, 2], [2, 2]])


def test_only_errors_are_coloured_in_the_confusion_matrix(tmp_path):
    path = tmp_path / "confusion.png"
    figures.save_confusion_matrix(path, [0] * 50 + [1] * 50, [0] * 50 + [1] * 50)
    assert np.ptp(read_png(path), axis=2).max() == 0
    figures.save_confusion_matrix(path, [0, 1], [1, 1], class_names=["aeroplane", "$1"])
    assert np.ptp(read_png(path), axis=2).max() > 0.4


def test_misclassified_lists_exactly_the_wrong_ones():
    np.testing.assert_array_equal(figures.misclassified([1, 2, 3, 4], [1, 0, 3, 5]), [1, 3])
    np.testing.assert_array_equal(figures.misclassified([1.0, 2.0], [1, 2]), [])


def test_misclassified_images_are_shown_and_no_others(tmp_path):
    images = np.random.default_rng(0).random((30, 1, 28, 28))
    images[:, 0, 0, :2] = 0, 1
    predicted = np.zeros(30, int)
    predicted[[4, 17, 20]] = 9
    figures.save_misclassified(tmp_path / "m.png", images, np.zeros(30, int), predicted, limit=2)
    page = read_png(tmp_path / "m.png")
    shown = [i for i in range(30) if places(page, np.kron(images[i, 0], np.ones((4, 4))))]
    assert shown == [4, 17]


def test_only_wrong_images_are_read(tmp_path):
    class Sliced:
        shape, dtype = (1000, 1, 8, 8), np.dtype(np.uint8)

        def __getitem__(self, rows):
            assert list(rows) == [7, 900]
            return np.zeros((2, 1, 8, 8), np.uint8)

    predicted = np.zeros(1000, int)
    predicted[[7, 900]] = 1
    figures.save_misclassified(tmp_path / "m.png", Sliced(), np.zeros(1000, int), predicted)


def test_a_page_says_that_nothing_was_misclassified(tmp_path):
    figures.save_misclassified(tmp_path / "m.png", np.zeros((3, 1, 8, 8)), [1, 2, 3], [1, 2, 3])
    page = read_png(tmp_path / "m.png")
    assert page.shape[0] < 200
    assert page.min() < 0.5


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        figures.save_curves(tmp_path / name, {"loss": [3, 2, 1]})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_text_is_no_wider_than_reckoned():
    pytest.importorskip("matplotlib")
    page = Page(100, 100)
    text = "MNIST, 2 layers (128, 2048 maps): 48 of 10,000 misclassified: 0.48 %"
    page.text(0, 50, text, 9)
    renderer = page.figure.canvas.get_renderer()
    assert page.figure.texts[0].get_window_extent(renderer).width <= text_width(text, 9)


def test_importing_figures_does_not_import_matplotlib_nor_drawing_pyplot():
    code = (
        "import sys, minisca.figures as figures\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import tempfile, os\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    figures.save_curves(os.path.join(folder, 'c.png'), {'a': [1, 2]})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    pytest.importorskip("matplotlib")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    for module in ("matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=re.escape('pip install "minisca[figures]"')):
        figures.save_curves(tmp_path / "curves.png", {"loss": [1, 2]})
