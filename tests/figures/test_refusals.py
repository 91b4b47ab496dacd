"""What cannot be drawn is refused by name, and no file is written."""

from functools import partial

import numpy as np
import pytest

from minisca import SparseConvAutoencoder, Stack, figures
from minisca.validation import NotFittedError

PAIR = np.zeros((2, 1, 4, 4))


@pytest.mark.parametrize(
    ("filters", "error", "message"),
    [
        (np.zeros((4, 3, 3)), ValueError, r"filters has shape \(4, 3, 3\)"),
        (np.zeros((0, 1, 3, 3)), ValueError, "no side may be 0"),
        (np.zeros((4, 128, 3, 3)), ValueError, "128 channels.*only 1.*or 3.*project_filters"),
        (np.full((4, 1, 3, 3), np.nan), ValueError, "filters has NaN"),
        (np.zeros((4, 1, 3, 3), complex), TypeError, "filters has dtype complex128"),
    ],
)
def test_filters_that_cannot_be_shown(tmp_path, filters, error, message):
    with pytest.raises(error, match=message):
        figures.filter_grid(filters)
    with pytest.raises(error, match=message):
        figures.save_filters(tmp_path / "filters.png", filters)


UNFITTED = SparseConvAutoencoder()


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda s: figures.project_filters(s, 2), ValueError, "layer_index is 2; it must be less"),
        (lambda s: figures.project_filters(s.layers_[0], 0), TypeError, "must be a Stack"),
        (lambda s: figures.project_filters(Stack([UNFITTED]), 0), NotFittedError, "not fitted"),
        (lambda s: figures.winner_maps([[1.0]], [[120]], (12, 10)), ValueError, "from 0 to 119"),
        (lambda s: figures.winner_maps([[1.0]], [1], (12, 10)), ValueError, r"be \(n, maps\)"),
    ],
)
def test_stacks_and_winners_that_do_not_fit(stack, draw, error, message):
    with pytest.raises(error, match=message):
        draw(stack)


@pytest.mark.parametrize(
    ("shape", "model", "error", "message"),
    [
        ((1, 12, 10), lambda s: UNFITTED, NotFittedError, "not fitted"),
        ((1, 12, 10), lambda s: "a.npz", TypeError, "must be a SparseConvAutoencoder or a Stack"),
        ((1, 1, 12, 10), lambda s: s, ValueError, r"it must be \(channels, height, width\)"),
        ((1, 5, 5), lambda s: s, ValueError, "image has images of 5x5 pixels"),
        ((5, 6, 5), lambda s: s.layers_[1], ValueError, "5 channels.*of a deeper layer give the S"),
    ],
)
def test_panels_that_cannot_be_drawn(tmp_path, stack, shape, model, error, message):
    with pytest.raises(error, match=message):
        figures.save_feature_panels(tmp_path / "panels.png", np.zeros(shape), model(stack))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("curves", "options", "error", "message"),
    [
        ({}, {}, ValueError, "one label: values or more"),
        ([1, 2], {}, ValueError, "must be a dict"),
        ({"a": []}, {}, ValueError, r"curves\['a'\] has shape"),
        ({"a": np.zeros((3, 4))}, {}, ValueError, r"must be \(n,\) or \(2, n\)"),
        ({"a": [1, np.inf]}, {}, ValueError, "infinite"),
        ({"a": ["1"]}, {}, TypeError, "dtype <U1"),
        ({"a": [1, 2]}, {"log": "z"}, ValueError, "log is 'z'; it must be one of 'x', 'y', 'xy'"),
        ({"a": [1, 0]}, {"log": "y"}, ValueError, "has y = 0; with log='y' it must be positive"),
    ],
)
def test_curves_that_cannot_be_drawn_leave_the_file_as_it_was(
    tmp_path, curves, options, error, message
):
    path = tmp_path / "curves.png"
    path.write_bytes(b"before")
    with pytest.raises(error, match=message):
        figures.save_curves(path, curves, **options)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


confusion = partial(figures.save_confusion_matrix, "figure.png", class_names=["a", "b"])
wrong = partial(figures.save_misclassified, "figure.png")
reconstructed = partial(figures.save_reconstructions, "figure.png")


@pytest.mark.parametrize(
    ("draw", "arguments", "error", "message"),
    [
        (figures.confusion_matrix, ([1, 2, 3], [1, 2]), ValueError, "predicted_labels has 2 lab"),
        (figures.misclassified, ([1, 2], ["a", "b"]), TypeError, "both text"),
        (figures.misclassified, (np.zeros(0, int),) * 2, ValueError, "true_labels is empty"),
        (confusion, ([0, 2], [0, 1]), ValueError, "labels run from 0 to 2; with 2 classes"),
        (confusion, (["a"], ["b"]), TypeError, "with class names: integers"),
        (wrong, (PAIR, [1], [1]), ValueError, "true_labels has 1 labels; it must have 2"),
        (wrong, (np.zeros((1, 5, 4, 4)), [1], [2]), ValueError, r"only 1.*or 3"),
        (reconstructed, (PAIR, PAIR[:1]), ValueError, "must be that of originals"),
    ],
)
def test_labels_and_images_that_do_not_fit(tmp_path, monkeypatch, draw, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        draw(*arguments)
    assert not list(tmp_path.iterdir())
