"""Figure 1c: validation accuracy against the number of maps, by three methods.

Winner-take-all and triangle k-means learn features without labels, for the same linear classifier;
the supervised network has winner-take-all's architecture and learns all of it from labels. All see
the same training images. Triangle k-means is that of Coates, Lee and Ng: 6 x 6 patches, whitened or
not, sums over quadrants; the others have 9 x 9 filters and max-pooling to 8 x 8.
"""

from itertools import product

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
    results, curves = run.results(name), {}
    for method, kind, n_maps in product(run.arguments.methods, run.arguments.kinds, maps):
        record = measure(run, results, method, n_maps, kind)
        percent, seconds = record["validation_accuracy_percent"], record["seconds"]["total"]
        print(f"{method}-{n_maps}-{kind}: {percent:.2f} %, {seconds:.0f} s", flush=True)
        curves.setdefault((method, kind), {})[n_maps] = percent
        run.draw(draw, name, labelled(curves))
    shown = labelled(curves)
    rows = [[str(n), *(f"{curve[n]:.2f}" for curve in shown.values())] for n in maps]
    print_table(["maps", *shown], rows)


def labelled(curves):
    """{what a curve is called: it} of {(method, kind): it}, whitened ones first."""
    return {
        f"{name}, {kind}": curves[method, kind]
        for kind in KINDS
        for method, name in METHODS.items()
        if (method, kind) in curves
    }


def draw(path, curves):
    """{label: {maps: accuracy}}; one colour a method, raw dashed."""
    lines = {
        label: list(zip(*sorted(curve.items()), strict=True)) for label, curve in curves.items()
    }
    labels = {"xlabel": "feature maps", "ylabel": "validation accuracy, %"}
    figures.save_curves(path, lines, **labels, log="x", n_colours=len(METHODS))


def measure(run, results, method, n_maps, kind):
    """One point: its record, made now unless it is there."""
    whitened = kind == "whitened"
    prepared = whitened and method != "k-means"  # which whitens its patches instead
    data, (images, image_labels), (validation, validation_labels) = run.cifar(prepared)
    model = make_model(run, method, n_maps, whitened)
    classifier = None
    if method != "supervised":
        classifier = minisca.LogisticRegression(l2=L2[method, kind])
    settings = {"method": method, "model": model.get_params(), "whitened": whitened}
    settings |= {"classifier": classifier and classifier.get_params(), "train_images": len(images)}
    watch = Stopwatch()

    def fit_and_score():
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
        return {"losses": [list(map(float, history))], **scored(accuracy, validation)}

    row = f"figure-1c-{method}-{n_maps}-{kind}"
    return run.measured(results, row, data, settings, watch, fit_and_score)


def scored(accuracy, images):
    """What a record says of an accuracy on validation images."""
    percent = round(100 * accuracy, 4)
    return {
        "validation_error_percent": round(100 - percent, 4),
        "validation_accuracy_percent": percent,
        "validation_images": len(images),
    }


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
