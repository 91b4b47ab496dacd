"""Pictures of what was learned: filters, feature maps, reconstructions, curves, errors.

Every `save_...` function draws and writes one PNG, whole or not at all: OSError if it cannot be
written. Bright is large everywhere. matplotlib is imported when the first one draws, ImportError if
it is missing: pip install "minisca[figures]".
"""

from minisca.figures.classification import (
    confusion_matrix,
    misclassified,
    save_confusion_matrix,
    save_misclassified,
)
from minisca.figures.curves import save_curves
from minisca.figures.features import save_feature_panels, winner_maps
from minisca.figures.filters import filter_grid, project_filters, save_filters
from minisca.figures.reconstructions import save_reconstructions

__all__ = [
    "confusion_matrix",
    "filter_grid",
    "misclassified",
    "project_filters",
    "save_confusion_matrix",
    "save_curves",
    "save_feature_panels",
    "save_filters",
    "save_misclassified",
    "save_reconstructions",
    "winner_maps",
]
