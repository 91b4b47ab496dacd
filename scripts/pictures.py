"""Pictures that several scripts draw of a row: filters, reconstructions, losses, errors."""

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


def draw_results(directory, row, images, labels, predicted):
    """The confusion matrix, and the images that were misclassified."""
    figures.save_confusion_matrix(directory / f"{row}-confusion.png", labels, predicted)
    figures.save_misclassified(directory / f"{row}-misclassified.png", images, labels, predicted)
