"""Pictures that several scripts draw of a row: filters, reconstructions, losses, errors."""

import numpy as np

import minisca
from minisca import figures


def draw_layer(directory, row, layer, images):
    """A first layer's filters, and what it makes of some images."""
    for kind in ("decoder", "encoder"):
        filters = getattr(layer, f"{kind}_filters_")
        path = directory / f"{row}-{kind}-filters.png"
        figures.save_filters(path, filters, title=f"{kind} filters")
    figures.save_reconstructions(
        directory / f"{row}-reconstructions.png", images, layer.reconstruct(images)
    )


def as_stack(layers):
    """Layers that are fitted already, as a fitted Stack."""
    stack = minisca.Stack(layers)
    stack.layers_ = layers
    return stack


def draw_losses(path, layers):
    curves = {f"layer {depth}": layer.loss_history_ for depth, layer in enumerate(layers, 1)}
    figures.save_curves(
        path, curves, xlabel="epoch", ylabel="mean squared error per image", log=len(layers) > 1
    )


def draw_stack(directory, row, layers, image):
    """An image on its way through the layers (Figure 3), and a second layer's filters in pixels."""
    stack = as_stack(layers)
    figures.save_feature_panels(directory / f"{row}-figure3.png", image, stack)
    if len(layers) > 1:
        projected = figures.project_filters(stack, 1)[:256]
        path = directory / f"{row}-projected-filters.png"
        figures.save_filters(path, projected, title="second layer, projected to pixels")


def draw_results(directory, row, images, labels, predicted, class_names=None):
    """The confusion matrix, and the images that were misclassified."""
    path = directory / f"{row}-confusion.png"
    figures.save_confusion_matrix(path, labels, predicted, class_names)
    if class_names is not None:
        labels, predicted = (np.array(class_names)[codes] for codes in (labels, predicted))
    figures.save_misclassified(directory / f"{row}-misclassified.png", images, labels, predicted)
