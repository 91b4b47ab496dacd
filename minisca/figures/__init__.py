"""Pictures of what was learned: filters, feature maps, reconstructions, curves, errors.

A `draw_...` function returns a Page, which a notebook shows; `step` does too. A `save_...` function
writes one as a PNG, whole or not at all: OSError if it cannot be written. Bright is large
everywhere. matplotlib is imported when the first one draws, ImportError if it is missing:
pip install "minisca[figures]".
"""

from minisca.figures.classification import (
    confusion_matrix,
    misclassified,
    save_confusion_matrix,
    save_misclassified,
)
from minisca.figures.curves import draw_curves, save_curves
from minisca.figures.features import draw_feature_panels, save_feature_panels, winner_maps
from minisca.figures.filters import draw_filters, filter_grid, project_filters, save_filters
from minisca.figures.reconstructions import draw_reconstructions, save_reconstructions
from minisca.figures.training_step import step

__all__ = [
    "confusion_matrix",
    "draw_curves",
    "draw_feature_panels",
    "draw_filters",
    "draw_reconstructions",
    "filter_grid",
    "misclassified",
    "project_filters",
    "save_confusion_matrix",
    "save_curves",
    "save_feature_panels",
    "save_filters",
    "save_misclassified",
    "save_reconstructions",
    "step",
    "winner_maps",
]
