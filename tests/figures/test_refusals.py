"""What cannot be drawn is refused by name, and the file stays as it was."""

import numpy as np
import pytest

from minisca import SparseConvAutoencoder, Stack, figures
from minisca.validation import NotFittedError

PAIR = np.zeros((2, 1, 4, 4))
IMAGE = np.zeros((1, 12, 10))
UNFITTED = SparseConvAutoencoder()
AXES = ("epoch", "loss", None)

FILTERS = [
    (np.zeros((4, 3, 3)), ValueError, r"filters has shape \(4, 3, 3\)"),
    (np.zeros((0, 1, 3, 3)), ValueError, "no side may be 0"),
    (np.zeros((4, 128, 3, 3)), ValueError, "128 channels.*only 1.*or 3.*project_filters"),
    (np.full((4, 1, 3, 3), np.nan), ValueError, "filters has NaN"),
    (np.zeros((4, 1, 3, 3), complex), TypeError, "filters has dtype complex128"),
]
CURVES = [
    ([{}], ValueError, "one label: values or more"),
    ([[1, 2]], ValueError, "must be a dict"),
    ([{"a": []}], ValueError, r"curves\['a'\] has shape"),
    ([{"a": np.zeros((3, 4))}], ValueError, r"must be \(n,\) or \(2, n\)"),
    ([{"a": [1, np.inf]}], ValueError, "infinite"),
    ([{"a": ["1"]}], TypeError, "dtype <U1"),
    ([{"a": [1, 2]}, *AXES, "z"], ValueError, "log is 'z'; it must be one of 'x', 'y', 'xy'"),
    ([{"a": [1, 0]}, *AXES, "y"], ValueError, "has y = 0; with log='y' it must be positive"),
]
#: An image, a model (or a function that gets it from the stack), what is raised.
PANELS = [
    (IMAGE, UNFITTED, NotFittedError, "not fitted"),
    (IMAGE, "a.npz", TypeError, "must be a SparseConvAutoencoder or a Stack"),
    (IMAGE[None], lambda s: s, ValueError, r"it must be \(channels, height, width\)"),
    (np.zeros((1, 5, 5)), lambda s: s, ValueError, "image has images of 5x5 pixels"),
    (np.zeros((5, 6, 5)), lambda s: s.layers_[1], ValueError, "5 channels.*of a deeper layer give"),
]
LABELS = [
    ("confusion_matrix", ([1, 2, 3], [1, 2]), ValueError, "predicted_labels has 2 lab"),
    ("misclassified", ([1, 2], ["a", "b"]), TypeError, "both text"),
    ("misclassified", (np.zeros(0, int),) * 2, ValueError, "true_labels is empty"),
    ("save_confusion_matrix", ([0, 2], [0, 1], "ab"), ValueError, "from 0 to 2; with 2 classes"),
    ("save_confusion_matrix", (["a"], ["b"], "ab"), TypeError, "with class names: integers"),
    ("save_misclassified", (PAIR, [1], [1]), ValueError, "true_labels has 1 labels; it must have"),
    ("save_misclassified", (np.zeros((1, 5, 4, 4)), [1], [2]), ValueError, r"only 1.*or 3"),
]
OTHERS = [
    ("project_filters", (lambda s: s, 2), ValueError, "layer_index is 2; it must be less"),
    ("project_filters", (lambda s: s.layers_[0], 0), TypeError, "must be a Stack"),
    ("project_filters", (Stack([UNFITTED]), 0), NotFittedError, "not fitted"),
    ("winner_maps", ([[1.0]], [[120]], (12, 10)), ValueError, "from 0 to 119"),
    ("winner_maps", ([[1.0]], [1], (12, 10)), ValueError, r"be \(n, maps\)"),
    ("save_reconstructions", (PAIR, PAIR[:1]), ValueError, "must be that of originals"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [("filter_grid", [filters], *raised) for filters, *raised in FILTERS]
    + [("save_filters", [filters], *raised) for filters, *raised in FILTERS]
    + [("save_curves", *row) for row in CURVES]
    + [("save_feature_panels", row[:2], *row[2:]) for row in PANELS]
    + LABELS
    + OTHERS,
)
def test_what_cannot_be_drawn_is_refused(tmp_path, stack, name, arguments, error, message):
    path = tmp_path / "figure.png"
    path.write_bytes(b"before")
    arguments = [given(stack) if callable(given) else given for given in arguments]
    if name.startswith("save"):
        arguments.insert(0, path)
    with pytest.raises(error, match=message):
        getattr(figures, name)(*arguments)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
