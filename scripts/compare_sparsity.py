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

import itertools

from common.data_files import run_command
from common.locks import check_packages
from common.options import add_common, make_parser, parse_checked
from common.records import Results, Stopwatch, print_rows
from paper_figures.accuracy import scored
from paper_figures.filter_measures import describe
from paper_figures.run import FigureRun
from paper_figures.sparsity_picture import draw_variants

import minisca
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
    data, quick = "MNIST's IDX files, or files like them", "400 images, 1 epoch, unless given"
    add_common(parser, data, "out/sparsity", quick)
    return parse_checked(parser, "maps", "images", "epochs")


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


def load_images(run):
    """A name; (images, labels) to train on, and as many or fewer to validate on: for every rule."""
    halves = run.mnist.validation_split()
    n = min(run.n_images(10_000), len(halves[0][0]))
    (train, labels), (validation, truth) = ((part[:n] for part in half) for half in halves)
    name = f"{run.mnist.name}, {n} training images"
    if run.arguments.whitened:
        whitener, name = ZCA(), f"{name}, whitened"
        train = whitener.fit_transform(contrast_normalise(train))
        validation = whitener.transform(contrast_normalise(validation))
    return name, (train, labels), (validation, truth)


def measure(run, results, rule, images):
    """Train a layer by one rule, unless its record and file are there already; returns both."""
    arguments, watch = run.arguments, Stopwatch()
    name, (train, labels), (validation, truth) = images
    options = {"learning_rate": RATE} | variants(arguments.maps)[rule]
    layer = run.layer(n_maps=arguments.maps, n_epochs=run.epochs(10), **options)
    classifier = minisca.LogisticRegression()
    settings = {"layers": [layer.get_params(deep=False)], "classifier": classifier.get_params()}
    settings |= {"train_images": len(train), "quick": arguments.quick}
    row, kind = f"sparsity-{rule}", "-whitened" if arguments.whitened else ""
    path = run.output / "layers" / f"{rule}-seed{arguments.seed}{kind}.npz"
    known = results.find(row, arguments.seed, name, settings) is not None
    with watch("train"):
        layer.fit(train, checkpoint=path, resume=known)

    def measured():
        with watch("classify"):
            classifier.fit(layer.transform(train), labels)
            accuracy = classifier.score(layer.transform(validation), truth)
        return {
            **scored(accuracy, validation),
            "reconstruction_error": -layer.score(validation),
            **describe(learned_filters(layer, train), layer.usage(train)),
            "backend": layer.backend_,
            "losses": [layer.loss_history_],
        }

    return run.measured(results, row, name, settings, watch, measured), layer


def learned_filters(layer, images):
    """What training added to the decoder's initial filters.

    Without sparsity some of their noise is there to the end: nothing needs it gone.
    """
    initial = type(layer)(**layer.get_params(deep=False)).set_params(n_epochs=0).fit(images)
    return layer.decoder_filters_ - initial.decoder_filters_


def average(records):
    """One record of a rule's seeds: means of its numbers, the rest as in the first."""
    numbers = {key for key, value in records[0].items() if isinstance(value, int | float)}
    means = {key: sum(record[key] for record in records) / len(records) for key in numbers}
    return records[0] | means


def table_row(rule, records):
    """A rule's line: means over its seeds."""
    (layer,), mean = records[0]["settings"]["layers"], average(records)
    return {
        "rule": rule,
        "rate": f"{layer['learning_rate']:g}",
        "reconstruction": f"{mean['reconstruction_error']:.2f}",
        "dead maps": f"{mean['dead_maps']:.3g} of {layer['n_maps']}",
        "delta share": f"{mean['median_delta_share']:.2f}",
        "sharpness": f"{mean['median_sharpness']:.2f}",
        "steepness": f"{mean['median_steepness']:.2f}",
        "repeated": f"{mean['repeated_filters']:.3g} of {mean['living_filters']:.3g}",
        "validation error": f"{mean['validation_error_percent']:.2f} %",
        "seeds": ", ".join(f"{record['validation_error_percent']:.2f}" for record in records),
        "time": f"{sum(record['seconds']['total'] for record in records):.0f} s",
    }


NOTES = """\
Reconstruction: mean of ||x_hat - x||^2. Lifetime's is from all winners: a single image has no batch
to compete in, so it overshoots what was trained. What comes after dead maps is of what training
added to the decoder filters of living maps, medians: the energy's share that is in the largest
pixel; sharpness, 4 of deltas and of noise, the energy of the differences between neighbours;
steepness, the largest of those over the whole range; filters that have a shifted twin.
"""


def main():
    arguments = parse_arguments()
    run = FigureRun(arguments, pictures=check_packages())
    images = load_images(run)
    results = Results(arguments.output, arguments.resume)
    print(f"Data: {images[0]} ({run.mnist.source})")
    print(
        f"{arguments.maps} maps, {run.epochs(10)} epochs, seeds {arguments.seeds}. Everything is "
        "at its default but the learning rate of\nthe rules with more survivors: at the default "
        "it diverges, or every map falls silent."
    )
    records, layers = {}, {}
    for seed, rule in itertools.product(arguments.seeds, variants(arguments.maps)):
        arguments.seed = seed
        try:
            record, layer = measure(run, results, rule, images)
        except minisca.DivergenceError as error:
            print(f"{rule}, seed {seed}: {error}")
            continue
        records.setdefault(rule, []).append(record)
        layers.setdefault(rule, layer)
    print_rows([table_row(rule, found) for rule, found in records.items()])
    print(NOTES)
    print(f"Records: {results.path}")
    if run.pictures:
        name = "whitened" if arguments.whitened else "raw"
        picture = run.output / "pictures" / f"{name}.png"
        draw_variants(picture, {rule: average(found) for rule, found in records.items()}, layers)
        print(f"Filters: {picture}")


if __name__ == "__main__":
    run_command(main)
