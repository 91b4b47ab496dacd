"""The pictures that only reproduce_mnist.py draws: the paper's Figure 3, and its other rules."""

import numpy as np
from common.pictures import as_stack, draw_layer

import minisca
from minisca import figures
from minisca.preprocessing import ZCA, contrast_normalise, crop_centre


def draw_mnist_layers(directory, row, layers, data, quick):
    """Filters, reconstructions and, for one layer, the panels of Figure 3."""
    first = layers[0]
    if len(layers) > 1:
        figures.save_feature_panels(
            directory / f"{row}-figure3.png", data.test_images[0], as_stack(layers)
        )
        return
    draw_layer(directory, row, first, data.test_images[:16])
    if row == "16":
        draw_other_rules(directory, data, quick, first.backend)
        figures.save_feature_panels(
            directory / "16-figure3.png", data.test_images[0], with_second_layer(first, data, quick)
        )


def draw_other_rules(directory, data, quick, backend):
    """What the paper warns of: delta filters without the constraint, dead maps across maps.

    Small layers on some hundred whitened digits, trained for the pictures only (paper, Figure 2b
    and 2c, and section 2.1).
    """
    images = crop_centre(data.train_images[:1000], 20)
    images = ZCA().fit_transform(contrast_normalise(images, epsilon=1e-6))
    settings = {"n_epochs": 4 if quick else 60, "batch_size": 30, "random_state": 0}
    settings["backend"] = backend
    rules = {
        "without-constraint": {"sparsity": "none", "learning_rate": 0.003 if quick else 0.01},
        "with-constraint": {"sparsity": "winner-take-all"},
        "largest-across-maps": {"sparsity": "k-largest", "n_active": 16, "learning_rate": 0.01},
    }
    for name, rule in rules.items():
        layer = minisca.SparseConvAutoencoder(16, **settings, **rule).fit(images)
        dead = int((layer.usage(images) < 0.001).sum())
        energy = np.square(layer.decoder_filters_).reshape(16, -1)
        sharpness = np.median(energy.max(axis=1) / energy.sum(axis=1))
        title = f"{rule['sparsity']}: {dead} of 16 maps dead"
        print(f"{title}; median share of a filter's energy in its largest weight {sharpness:.2f}")
        figures.save_filters(directory / f"16-{name}.png", layer.decoder_filters_, title=title)


def with_second_layer(first, data, quick):
    """Figure 3 shows 128 second-layer maps on top of the 16: trained here, for the picture only."""
    images = data.train_images[: 2000 if quick else 20_000]
    second = minisca.SparseConvAutoencoder(
        128, filter_width=5, pool_width=3, pool_stride=2, n_epochs=2, random_state=0,
        backend=first.backend,
    )  # fmt: skip
    return as_stack([first, second.fit(first.transform(images))])
