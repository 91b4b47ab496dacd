"""The pictures of a row: filters, reconstructions, features, losses, errors."""

import warnings

import numpy as np
from common.pictures import as_stack

import minisca
from minisca import figures
from minisca.preprocessing import ZCA, contrast_normalise, crop_centre


def draw_row(directory, name, row, layers, images, predicted, quick):
    """Draw a row that has been measured; predicted: the test images' labels, or None."""
    name = f"{name}{row.variant}"

    def path(what):
        return directory / f"{name}-{what}.png"

    if row.k_means:
        title = "centres of whitened patches"
        figures.save_filters(path("centres"), layers[0].centres_, title=title)
    else:
        draw_layers(path, row, layers, images, quick)
    if predicted is not None:
        labels, names = images.test_labels, images.class_names
        figures.save_confusion_matrix(path("confusion"), labels, predicted, names)
        if names is not None:
            labels, predicted = (np.array(names)[codes] for codes in (labels, predicted))
        figures.save_misclassified(path("misclassified"), images.shown, labels, predicted)


def draw_layers(path, row, layers, images, quick):
    """Filters, reconstructions, features on their way, and losses; path: of a picture's name."""
    if len(layers) == 1:
        for kind in ("decoder", "encoder"):
            filters = getattr(layers[0], f"{kind}_filters_")
            figures.save_filters(path(f"{kind}-filters"), filters, title=f"{kind} filters")
        shown = images.test[:16]
        figures.save_reconstructions(path("reconstructions"), shown, layers[0].reconstruct(shown))
    stack = as_stack(layers)
    if row.figures and not row.variant:
        draw_other_rules(path, images.train, quick, layers[0].backend)
        stack = with_second_layer(layers[0], images.train, quick)
    figures.save_feature_panels(path("figure3"), images.test[0], stack)
    if len(layers) > 1:
        projected = figures.project_filters(stack, 1)[:256]
        title = "second layer, projected to pixels"
        figures.save_filters(path("projected-filters"), projected, title=title)
    losses = {f"layer {depth}": layer.loss_history_ for depth, layer in enumerate(layers, 1)}
    curves = {layer: found for layer, found in losses.items() if found}  # some are never trained
    axes = {"xlabel": "epoch", "ylabel": "mean squared error per image", "log": len(curves) > 1}
    if curves:
        figures.save_curves(path("loss"), curves, **axes)


def last_picture(directory, name, row):
    """The picture that `draw_row` draws last: where it is, all are."""
    kind = "loss" if row.classifier is None else "misclassified"
    return directory / f"{name}{row.variant}-{kind}.png"


def draw_other_rules(path, images, quick, backend):
    """What the paper warns of: delta filters without the constraint, dead maps across maps.

    Small layers on some hundred whitened digits, trained for the pictures only (paper, Figure 2b
    and 2c, and section 2.1).
    """
    images = crop_centre(images[:1000], 20)
    images = ZCA().fit_transform(contrast_normalise(images, epsilon=1e-6))
    settings = {"n_epochs": 4 if quick else 60, "batch_size": 30, "random_state": 0}
    settings["backend"] = backend
    rules = {
        "without-constraint": {"sparsity": "none", "learning_rate": 0.003 if quick else 0.01},
        "with-constraint": {"sparsity": "winner-take-all"},
        "largest-across-maps": {"sparsity": "k-largest", "n_active": 16, "learning_rate": 0.01},
    }
    for name, rule in rules.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # dead maps are what is to be seen
            layer = minisca.SparseConvAutoencoder(16, **settings, **rule).fit(images)
        dead = int((layer.usage(images) < 0.001).sum())
        energy = np.square(layer.decoder_filters_).reshape(16, -1)
        sharpness = np.median(energy.max(axis=1) / energy.sum(axis=1))
        title = f"{rule['sparsity']}: {dead} of 16 maps dead"
        print(f"{title}; median share of a filter's energy in its largest weight {sharpness:.2f}")
        figures.save_filters(path(name), layer.decoder_filters_, title=title)


def with_second_layer(first, images, quick):
    """Figure 3 shows 128 second-layer maps on top of the 16: trained here, for the picture only."""
    settings = {"filter_width": 5, "pool_width": 3, "pool_stride": 2, "n_epochs": 2}
    second = minisca.SparseConvAutoencoder(128, **settings, random_state=0, backend=first.backend)
    return as_stack([first, second.fit(first.transform(images[: 2000 if quick else 20_000]))])
