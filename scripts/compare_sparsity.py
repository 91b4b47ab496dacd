"""What the sparsity rule is good for: every rule trained alike, on the same images.

    python scripts/compare_sparsity.py                  16 maps, 10,000 images, 10 epochs, one seed
    python scripts/compare_sparsity.py --seeds 0 1 2    three of them, and their means
    python scripts/compare_sparsity.py --whitened       contrast-normalised and ZCA-whitened
    python scripts/compare_sparsity.py --quick          under a minute, to see what comes out

The rules are those of the paper's section 2.1, and lifetime sparsity of its successor. Per rule:
reconstruction error and validation error on the validation images, which nothing was trained on;
maps that are dead (a survivor in less than 0.1 % of the training images); how like deltas the
decoder filters are, how sharp, and how many have a twin at another place. The test images are not
read. The picture shows the first seed's filters over the means of the numbers.
"""

import sys
from pathlib import Path

import numpy as np
from common.locks import check_packages
from common.options import add_common, check_counts, check_seeds, make_parser, resolve_backend
from common.records import Results, Stopwatch, environment, print_table
from paper_figures.filter_measures import ALIVE, delta_share, repeated, sharpness, steepness
from paper_figures.sparsity_picture import draw_variants

import minisca
from minisca.backends import get_backend
from minisca.preprocessing import ZCA, contrast_normalise

#: Rate of the rules with one survivor a map.
RATE = 0.1
#: Rate of "none": at that rate it diverges, or its maps die.
DENSE_RATE = 0.003
#: Rate of "k-largest", at that rate every map dies.
ACROSS_RATE = 0.01


def parse_arguments():
    parser = make_parser(__doc__)
    parser.add_argument("--maps", type=int, default=16, help="feature maps; default: 16")
    parser.add_argument("--images", type=int, help="training images; default: 10,000 or all")
    parser.add_argument("--epochs", type=int, help="default: 10")
    parser.add_argument("--whitened", action="store_true", help="whiten the images first")
    data, quick = "MNIST's IDX files, or files like them", "500 images, 2 epochs, unless given"
    add_common(parser, data, "out/sparsity", quick)
    arguments = parser.parse_args()
    if arguments.images is None:
        arguments.images = 500 if arguments.quick else 10_000
    if arguments.epochs is None:
        arguments.epochs = 2 if arguments.quick else 10
    check_counts(parser, arguments, "maps", "images", "epochs")
    check_seeds(parser, arguments)
    print(f"Backend: {resolve_backend(parser, arguments.backend)}")
    return arguments


def variants(n_maps):
    """{name: what it changes in a SparseConvAutoencoder}, the paper's own rule first.

    The learning rate RATE suits one survivor a map. More of them add up where they overlap: at
    that rate the first steps drive the biases so low that every map falls silent for good.
    """
    top_n = {
        f"top-{n}": {"sparsity": "top-n", "n_active": n, "learning_rate": RATE / n}
        for n in (2, 4, 8)
    }
    # as many units of an image survive as with winner-take-all
    across = {"sparsity": "k-largest", "n_active": n_maps, "learning_rate": ACROSS_RATE}
    return {
        "winner-take-all": {},
        **top_n,
        "k-largest": across,
        "none": {"sparsity": "none", "learning_rate": DENSE_RATE},
        "tied": {"tied": True},
        "lifetime": {"lifetime": 0.2},
    }


class Images:
    """The same images for every rule: to train on, and to validate on; their labels; a name."""

    def __init__(self, arguments):
        data = minisca.datasets.load_mnist(arguments.data_dir)
        (train, train_labels), (validation, labels) = data.validation_split()
        n = min(arguments.images, len(train))
        self.train, self.train_labels = train[:n], train_labels[:n]
        self.validation, self.labels = validation[:n], labels[:n]
        self.name = f"{data.name}, {n} training images"
        self.source = data.source
        if arguments.whitened:
            whitener = ZCA()
            self.train = whitener.fit_transform(contrast_normalise(self.train))
            self.validation = whitener.transform(contrast_normalise(self.validation))
            self.name += ", whitened"


def measure(name, seed, arguments, images, results):
    """Train one variant, unless its record and layer are there already; returns both."""
    layer = minisca.SparseConvAutoencoder(
        n_maps=arguments.maps,
        n_epochs=arguments.epochs,
        random_state=seed,
        backend=arguments.backend,
        **{"learning_rate": RATE} | variants(arguments.maps)[name],
    )
    classifier = minisca.LogisticRegression()
    settings = {
        "layers": [layer.get_params(deep=False)],
        "classifier": classifier.get_params(),
        "train_images": len(images.train),
        "quick": arguments.quick,
    }
    kind = "-whitened" if arguments.whitened else ""
    path = Path(arguments.output) / "layers" / f"{name}-seed{seed}{kind}.npz"
    record = results.find(f"sparsity-{name}", seed, images.name, settings)
    if record is not None and path.exists():
        return record, type(layer).load(path)
    watch = Stopwatch()
    with watch("train"):
        layer.fit(images.train)
    layer.save(path)
    with watch("classify"):
        classifier.fit(layer.transform(images.train), images.train_labels)
        error = 1 - classifier.score(layer.transform(images.validation), images.labels)
    usage = layer.usage(images.train)
    record = {
        "row": f"sparsity-{name}",
        "seed": seed,
        "data": images.name,
        "validation_images": len(images.validation),
        "validation_error_percent": round(100 * error, 4),
        "reconstruction_error": -layer.score(images.validation),
        "dead_maps": int((usage < ALIVE).sum()),
        "usage": usage.tolist(),
        "largest_share_of_survivors": share_of_busiest(layer, images.validation[:1000]),
        **describe(learned_filters(layer, images.train), usage),
        "paper_percent": None,
        "test_error_percent": None,
        "backend": layer.backend_,
        "settings": settings,
        "seconds": watch.seconds | {"total": round(sum(watch.seconds.values()), 2)},
        "losses": [layer.loss_history_],
    }
    results.add(record | environment())
    return results.records[-1], layer


def learned_filters(layer, images):
    """What training added to the decoder's initial filters.

    Without sparsity some of their noise is there to the end: nothing needs it gone.
    """
    initial = type(layer)(**layer.get_params(deep=False)).set_params(n_epochs=0).fit(images)
    return layer.decoder_filters_ - initial.decoder_filters_


def describe(filters, usage):
    """What the filters look like; medians over those of living maps, or over all if none lives."""
    alive = usage >= ALIVE
    shown = filters[alive] if alive.any() else filters
    return {
        "delta_share": delta_share(filters).tolist(),
        "median_delta_share": float(np.median(delta_share(shown))),
        "delta_share_of_busiest": float(delta_share(filters)[usage.argmax()]),
        "sharpness": sharpness(filters).tolist(),
        "median_sharpness": float(np.median(sharpness(shown))),
        "median_steepness": float(np.median(steepness(shown))),
        "repeated_filters": repeated(filters[alive]) if alive.any() else 0,
        "living_filters": int(alive.sum()),
    }


def share_of_busiest(layer, images):
    """Share of all the survivors that fall to one map, the busiest; None unless k-largest."""
    if layer.sparsity != "k-largest":
        return None
    backend = get_backend(layer.backend)
    code = backend.encode_k_largest(
        images, layer.encoder_filters_, layer.encoder_bias_, layer.n_active
    )
    values, _, maps = map(backend.to_host, code)
    counts = np.bincount(maps[values > 0], minlength=layer.n_maps)
    return float(counts.max() / max(1, counts.sum()))


def average(records):
    """One record of a rule's seeds: means of its numbers, the rest as in the first."""
    averaged = dict(records[0])
    for key, value in averaged.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            averaged[key] = sum(record[key] for record in records) / len(records)
    return averaged


def table_row(records):
    """A rule's cells: means over its seeds."""
    name = records[0]["row"].removeprefix("sparsity-")
    (layer,) = records[0]["settings"]["layers"]
    mean = average(records)
    return [
        name,
        f"{layer['learning_rate']:g}",
        f"{mean['reconstruction_error']:.2f}",
        f"{mean['dead_maps']:.3g} of {layer['n_maps']}",
        f"{mean['median_delta_share']:.2f}",
        f"{mean['median_sharpness']:.2f}",
        f"{mean['median_steepness']:.2f}",
        f"{mean['repeated_filters']:.3g} of {mean['living_filters']:.3g}",
        f"{mean['validation_error_percent']:.2f} %",
        ", ".join(f"{record['validation_error_percent']:.2f}" for record in records),
        f"{sum(record['seconds']['total'] for record in records):.0f} s",
    ]


HEADER = [
    *("rule", "rate", "reconstruction", "dead maps", "delta share", "sharpness", "steepness"),
    *("repeated", "validation error", "seeds", "time"),
]


NOTES = """\
Reconstruction: mean of ||x_hat - x||^2. Lifetime's is from all winners: a single image has no batch
to compete in, so it overshoots what was trained. Delta share, sharpness, steepness and repeated: of
what training added to the living maps' initial decoder filters; medians. Delta share: what of a
filter's energy its largest pixel has. Sharpness: energy of the differences between neighbouring
weights; small spots count as sharp, noise is as sharp as deltas, 4. Steepness: the steepest step
between neighbours, of the filter's whole range; it does not depend on how large the spot is.
Repeated: filters with another that correlates beyond 0.9 with them at some shift.
"""


def main():
    arguments = parse_arguments()
    pictures = check_packages()
    images = Images(arguments)
    results = Results(arguments.output, arguments.resume)
    print(f"Data: {images.name} ({images.source})")
    print(
        f"{arguments.maps} maps, {arguments.epochs} epochs, seeds {arguments.seeds}. Everything is "
        "at its default but the learning rate of\nthe rules with more survivors: at the default "
        "it diverges, or every map falls silent."
    )
    records, layers = {}, {}
    for seed in arguments.seeds:
        for name in variants(arguments.maps):
            try:
                record, layer = measure(name, seed, arguments, images, results)
            except minisca.DivergenceError as error:
                print(f"{name}, seed {seed}: {error}")
                continue
            records.setdefault(name, []).append(record)
            layers.setdefault(name, layer)
    print_table(HEADER, [table_row(found) for found in records.values()])
    print(NOTES)
    picture = (
        Path(arguments.output) / "pictures" / f"{'whitened' if arguments.whitened else 'raw'}.png"
    )
    print(f"Records: {results.path}")
    if pictures:
        draw_variants(picture, {name: average(found) for name, found in records.items()}, layers)
        print(f"Filters: {picture}")


if __name__ == "__main__":
    sys.exit(main())
