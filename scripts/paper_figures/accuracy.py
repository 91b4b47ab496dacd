"""Figure 1c: validation accuracy against the number of maps, by three methods.

Winner-take-all and triangle k-means learn features without labels, for the same linear classifier;
the supervised network has winner-take-all's architecture and learns all of it from labels. All see
the same training images. Triangle k-means is that of Coates, Lee and Ng: 6 x 6 patches, whitened or
not, sums over quadrants; the others have 9 x 9 filters and max-pooling to 8 x 8.
"""

from common.records import Stopwatch, print_table

import minisca
from minisca import figures
from minisca.baselines import SupervisedConvNet, TriangleKMeans

MAPS = (16, 32, 64, 128, 256, 512)
QUICK_MAPS = (2, 4)
ARCHITECTURE = {"filter_width": 9, "pool_width": 5, "pool_stride": 4}
METHODS = {
    "winner-take-all": "winner-take-all",
    "k-means": "triangle k-means",
    "supervised": "supervised network",
}
KINDS = ("whitened", "raw")
#: What suits each method and kind, from trials on validation images with 16 to 256 maps.
SUPERVISED_RATE = 2.5
RATE = 0.1
L2 = {
    ("winner-take-all", "whitened"): 3e-2,
    ("winner-take-all", "raw"): 3e-3,
    ("k-means", "whitened"): 3e-3,
    ("k-means", "raw"): 3e-3,
}


def draw_accuracies(run, name):
    """Measure every point that has no record yet, cheap methods first; draw them all."""
    maps = run.arguments.maps or (QUICK_MAPS if run.arguments.quick else MAPS)
    results = run.results(name)
    points = {}
    for method in run.arguments.methods:
        for whitened in (kind == "whitened" for kind in run.arguments.kinds):
            for n_maps in maps:
                record = measure(run, results, method, n_maps, whitened)
                points[method, whitened, n_maps] = record["validation_accuracy_percent"]
                say(record)
                run.draw(draw, name, points)
    print_table(["maps", *labels(points).values()], list(table(points, maps)))


def measure(run, results, method, n_maps, whitened):
    """One point: its record, made now unless it is there."""
    prepared = whitened and method != "k-means"  # which whitens its patches instead
    data, (images, image_labels), (validation, validation_labels) = run.cifar(prepared)
    model = make_model(run, method, n_maps, whitened)
    classifier = None
    if method != "supervised":
        classifier = minisca.LogisticRegression(l2=L2[method, kind(whitened)])
    settings = run.settings(
        method=method,
        model=model.get_params(),
        classifier=classifier and classifier.get_params(),
        whitened=whitened,
        train_images=len(images),
    )
    row = f"1c-{method}-{n_maps}-{kind(whitened)}"
    record = results.find(f"figure-{row}", run.arguments.seed, data, settings)
    if record is not None:
        return record
    watch = Stopwatch()
    if classifier is None:
        with watch("train"):
            model.fit(images, image_labels)
        with watch("classify"):
            accuracy = model.score(validation, validation_labels)
    else:
        with watch("train"):
            model.fit(images)
        with watch("encode"):
            features, checked = model.transform(images), model.transform(validation)
        with watch("classify"):
            classifier.fit(features, image_labels)
            accuracy = classifier.score(checked, validation_labels)
    history = model.objective_history_ if method == "k-means" else model.loss_history_
    percent = round(100 * accuracy, 4)
    found = {
        "validation_error_percent": round(100 - percent, 4),
        "validation_accuracy_percent": percent,
        "validation_images": len(validation),
    }
    losses = [[float(loss) for loss in history]]
    results.add(run.record(row, data, settings, watch, losses) | found)
    return results.records[-1]


def make_model(run, method, n_maps, whitened):
    """What learns the features of a point, or learns everything."""
    shared = {"n_maps": n_maps, "random_state": run.arguments.seed}
    if method == "k-means":
        n_patches = 2000 if run.arguments.quick else 100_000
        return TriangleKMeans(whiten=whitened, n_patches=n_patches, **shared)
    make = SupervisedConvNet if method == "supervised" else minisca.SparseConvAutoencoder
    options = {"n_epochs": run.epochs(8), "backend": run.arguments.backend}
    options["learning_rate"] = SUPERVISED_RATE if method == "supervised" else RATE
    return make(**shared, **ARCHITECTURE, **options)


def draw(path, points):
    """The curves of the points {(method, whitened, maps): accuracy} that there are."""
    curves = {}
    for key, label in labels(points).items():
        found = sorted((n, value) for (*rest, n), value in points.items() if tuple(rest) == key)
        curves[label] = list(zip(*found, strict=True))
    figures.save_curves(
        path,
        curves,
        xlabel="feature maps",
        ylabel="validation accuracy, %",
        log="x",
        n_colours=len(METHODS),
    )


def labels(points):
    """{(method, whitened): what its curve is called}; one colour a method, raw dashed."""
    measured = {tuple(curve) for *curve, _ in points}
    return {
        (method, whitened): f"{name}, {kind(whitened)}"
        for whitened in (True, False)
        for method, name in METHODS.items()
        if (method, whitened) in measured
    }


def table(points, maps):
    """A row for every number of maps."""
    for n in maps:
        yield [str(n), *(f"{points[(*curve, n)]:.2f}" for curve in labels(points))]


def kind(whitened):
    return KINDS[0] if whitened else KINDS[1]


def say(record):
    row = record["row"].removeprefix("figure-1c-")
    seconds = record["seconds"]["total"]
    print(f"{row}: {record['validation_accuracy_percent']:.2f} %, {seconds:.0f} s", flush=True)
