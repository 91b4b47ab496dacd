"""Why winner-take-all and triangle k-means differ on CIFAR-10: one difference at a time.

    python scripts/compare_encodings.py                    64 and 256 maps, 20,000 images
    python scripts/compare_encodings.py --quick            400 images, to see that it works

As their authors have them, the two differ in what they learn from (images contrast-normalised and
whitened as wholes, or patches, each by itself), and in how they pool (the largest of 5 x 5 places,
at 8 x 8 places, or sums over quadrants). Here every encoding meets every pooling:

winner-take-all         the trained layer's maps, as `transform` has them before pooling
winner-take-all, local  the same, divided by the deviation of the pixels that each place sees
k-means, whole images   k-means on patches of the whitened images, as they are
k-means                 on patches that are contrast-normalised and whitened by themselves

With several --seeds the table has means. Features are standardised, one by one. The classifier's
penalty depends on the pooling alone, from trials on validation images. Accuracies are the
validation images', a part of the training set; the test images are not read.
"""

import itertools
import json
from functools import cache

import numpy as np
from common.data_files import run_command
from common.options import add_common, make_parser, parse_checked
from common.records import Results, Stopwatch, print_table
from paper_figures.accuracy import ARCHITECTURE, scored
from paper_figures.run import FigureRun

import minisca
from minisca.backends import get_backend
from minisca.baselines import TriangleKMeans
from minisca.chunks import slices

ENCODINGS = (
    "winner-take-all",
    "winner-take-all, local",
    "k-means, whole images",
    "k-means",
)
#: L2 penalty on standardised features, by pooling.
L2 = {"quadrants": 3e-3, "maximum": 1e-1}
MAX_ITER = 60
#: Added to the local variance of the pixels.
LOCAL_EPSILON = 0.1
#: Added to a feature's variance before it divides.
FEATURE_EPSILON = 1e-4
#: Images whose maps are held at a time.
ROWS = 200


def parse_arguments():
    parser = make_parser(__doc__)
    parser.add_argument("--maps", type=int, nargs="+", help="default: 64 256; --quick: 4")
    parser.add_argument("--images", type=int, help="training images at most; default: 20,000")
    parser.add_argument("--epochs", type=int, help="default: 5")
    data, quick = "CIFAR-10's binary version, packed or not", "400 images, 1 epoch, 4 maps"
    add_common(parser, data, "out/encodings", quick, label="the files")
    arguments = parse_checked(parser, "images", "epochs", "maps")
    arguments.maps = arguments.maps or ([4] if arguments.quick else [64, 256])
    return arguments


def make_model(run, encoding, n_maps):
    """What is fitted for an encoding, not fitted yet."""
    if encoding.startswith("winner-take-all"):
        options = {"n_epochs": run.epochs(5), "learning_rate": 0.1, **ARCHITECTURE}
        return run.layer(n_maps=n_maps, **options)
    own = encoding == "k-means"
    n_patches = 2000 if run.arguments.quick else 100_000
    options = {"n_patches": n_patches, "random_state": run.arguments.seed}
    return TriangleKMeans(n_maps, whiten=own, normalise=own, **options)


def feature_maps(encoding, model, images):
    """An encoding's maps (n, m, h, w) of images (n, c, h, w), before pooling."""
    if encoding != "winner-take-all, local":
        return model.feature_maps(images)
    cpu = get_backend("cpu")
    filters, bias = model.encoder_filters_, model.encoder_bias_
    box = np.full((1, *filters.shape[1:]), 1 / filters[0].size, images.dtype)
    local = cpu.conv2d(np.square(images), box, np.zeros(1, images.dtype)) + LOCAL_EPSILON
    maps = cpu.conv2d(images, filters, np.zeros_like(bias)) / np.sqrt(local)
    return np.maximum(maps + bias[:, None, None], 0)


def pooled(pooling, maps):
    """Features (n, ...) of maps (n, m, h, w): sums over quadrants, or overlapping maxima."""
    if pooling == "maximum":
        width, stride = ARCHITECTURE["pool_width"], ARCHITECTURE["pool_stride"]
        return get_backend("cpu").max_pool(np.ascontiguousarray(maps), width, stride)[0]
    rows, columns = ([0, side // 2] for side in maps.shape[2:])
    return np.add.reduceat(np.add.reduceat(maps, rows, axis=2), columns, axis=3)


def encode(encoding, model, images):
    """{pooling: features (n, d) of the images}."""
    parts = {pooling: [] for pooling in L2}
    for part in slices(len(images), ROWS):
        maps = feature_maps(encoding, model, images[part])
        for pooling, found in parts.items():
            found.append(pooled(pooling, maps).reshape(len(maps), -1))
    return {pooling: np.concatenate(found) for pooling, found in parts.items()}


def standardise_(train, others):
    """Give the features of `train` mean 0 and deviation 1, in place, and `others` as those went."""
    mean, scale = train.mean(axis=0), np.sqrt(train.var(axis=0) + FEATURE_EPSILON)
    for features in (train, others):
        features -= mean
        features /= scale


def measure(run, results, fitted, encoding, n_maps):
    """Yield (pooling, record) of one encoding, measured now unless the record is there.

    fitted: {a model's parameters: it}, for encodings that share one.
    """
    name, (images, labels), (validation, truth) = run.cifar(encoding != "k-means", 20_000)
    model = make_model(run, encoding, n_maps)
    key, watch = json.dumps(model.get_params(), sort_keys=True), Stopwatch()

    @cache
    def features():
        with watch("train"):
            if key not in fitted:
                fitted[key] = model.fit(images)
        with watch("encode"):
            return [encode(encoding, fitted[key], part) for part in (images, validation)]

    for pooling, l2 in L2.items():
        settings = {"encoding": encoding, "pooling": pooling, "model": model.get_params()}
        settings |= {"classifier": {"l2": l2, "max_iter": MAX_ITER}, "train_images": len(images)}
        spent = Stopwatch()

        def classify(pooling=pooling, settings=settings, spent=spent):
            train, checked = (found[pooling] for found in features())
            spent.seconds |= watch.seconds
            with spent("classify"):
                standardise_(train, checked)
                classifier = minisca.LogisticRegression(**settings["classifier"])
                accuracy = classifier.fit(train, labels).score(checked, truth)
            return {"losses": [], "n_features": train.shape[1], **scored(accuracy, validation)}

        row = f"encoding-{encoding.replace(', ', '-').replace(' ', '-')}-{pooling}-{n_maps}"
        yield pooling, run.measured(results, row, name, settings, spent, classify)


def main():
    arguments = parse_arguments()
    run = FigureRun(arguments)
    results = Results(run.output, arguments.resume, "encodings.json")
    accuracies = {encoding: {} for encoding in ENCODINGS}
    for seed in arguments.seeds:
        arguments.seed, fitted = seed, {}
        for encoding, n_maps in itertools.product(ENCODINGS, arguments.maps):
            for pooling, record in measure(run, results, fitted, encoding, n_maps):
                accuracy = record["validation_accuracy_percent"]
                print(f"{record['row']}: {accuracy:.2f} %", flush=True)
                accuracies[encoding].setdefault(f"{n_maps} maps, {pooling}", []).append(accuracy)
    rows = [
        [encoding, *(f"{np.mean(cell):.2f} %" for cell in cells.values())]
        for encoding, cells in accuracies.items()
    ]
    print_table(["validation accuracy", *accuracies[ENCODINGS[0]]], rows)
    print(f"Records: {results.path}")


if __name__ == "__main__":
    run_command(main)
