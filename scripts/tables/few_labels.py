"""Features learned from all images, a classifier learned from few labels: error by their number.

Every kind of features is learned from all training images, without their labels, and every image's
features are scaled to one length. The classifier is a linear SVM on 10 to 1000 labels a class,
drawn at random ten times, the same draws for every kind. Its penalty is, for each kind and number,
the one with the lowest mean error of the first draws on the validation images, of which no label is
drawn.
"""

import copy

import numpy as np
from common.fits import FitFiles
from common.ranks import is_first
from common.records import Stopwatch, environment
from features.scaling import FeatureScaling

import minisca
from minisca.baselines import TriangleKMeans
from minisca.chunks import ceil_div
from minisca.figures import save_curves
from minisca.progress import progress

ROW = "few-labels"
LABELS_PER_CLASS = (10, 30, 60, 100, 200, 300, 500, 1000)
DRAWS = 10
#: The penalty is chosen by so many of them.
CHOOSING_DRAWS = 2
PENALTIES = (0.3, 3.0)
MAX_ITER = 20
SCALING = "per-image"

#: The kinds of features that pool one layer's maps, wider than Table 1's rows: as was best on
#: validation images, and as the paper's authors did.
POOLINGS = {
    "winner-take-all": {"pool_width": 11, "pool_stride": 4},
    "winner-take-all-11-6": {"pool_width": 11, "pool_stride": 6, "pool_origin": "corner"},
}


def flat(images):
    """A copy, which may be scaled in place."""
    return images.reshape(len(images), -1).copy()


def pca(images, n_components):
    """The function that projects images on the directions of largest variance of these."""
    mean = flat(images).mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = flat(images) - mean
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    directions = directions[:, ::-1][:, :n_components].astype(np.float32)
    return lambda images: (flat(images) - mean) @ directions


def encoders(layer, images, seed):
    """{kind: function that learns the function of images}, baselines as large as the layer.

    k-means has as many maps, patches as wide as the filters, and as fine a grid as the pooled maps
    of the authors. PCA has as many components as there are maps: images have no more directions
    than pixels.
    """
    pooled = {kind: copy.copy(layer).set_params(**how) for kind, how in POOLINGS.items()}
    grid = ceil_div(images.shape[2], POOLINGS["winner-take-all-11-6"]["pool_stride"])
    width = layer.filter_width
    means = TriangleKMeans(layer.n_maps, patch_width=width, grid=grid, random_state=seed)
    return {kind: lambda pooled=pooled[kind]: pooled.transform for kind in POOLINGS} | {
        "triangle-k-means": lambda: means.fit(images).transform,
        "pca": lambda: pca(images, layer.n_maps),
        "pixels": lambda: flat,
    }


def draw_rows(labels, per_class, seed, draw):
    """Rows of `per_class` labels of each class, without repetition, in rising order."""
    random = np.random.default_rng([seed, per_class, draw])
    classes = np.unique(labels)
    rows = [random.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in classes]
    return np.sort(np.concatenate(rows))


def measure_few_labels(run, layer, images, results, watch):
    """Measure every kind of features, unless its record is there; run: what identifies the row.

    The layer is trained already; `watch` has how long that took.
    """
    if not is_first():
        return
    labels = images.train_labels[: images.n_fit]
    least = np.unique(labels, return_counts=True)[1].min()
    numbers = [n for n in LABELS_PER_CLASS if n <= least]
    n_draws = 2 if run["settings"]["quick"] else DRAWS
    draws = {
        n: [draw_rows(labels, n, run["seed"], draw) for draw in range(n_draws)] for n in numbers
    }
    drawn = np.unique(np.concatenate([rows for found in draws.values() for rows in found]))
    truths = {"validation": images.train_labels[images.n_fit :], "test": images.test_labels}
    for kind, learn in encoders(layer, images.train, run["seed"]).items():
        settings = run["settings"] | settings_of(kind, numbers, n_draws)
        own = run | {"row": f"{run['row']}-{kind}", "settings": settings}
        fits = FitFiles(results, own)
        if results.find(**own) is not None:
            fits.remove(_names(draws))  # a run that was killed may have left them
            print(f"{own['row']}, seed {own['seed']}: already in {results.path}")
            continue
        with watch("train"):
            encode = learn()
        with watch("encode"):
            sets = {
                "drawn": encode(images.train[drawn]),
                "validation": encode(images.train[images.n_fit :]),
                "test": encode(images.test),
            }
            sets = {name: scaled(features) for name, features in sets.items()}
        with watch("classify"), progress(True, total=len(numbers), desc=kind) as bar:
            curve = []
            for n in numbers:
                places = [np.searchsorted(drawn, rows) for rows in draws[n]]
                scores = _score(fits, n, sets, truths, labels[drawn], places)
                curve.append({"labels_per_class": n} | scores)
                bar.update()
        record = own | {"curve": curve, "n_features": int(np.prod(sets["drawn"].shape[1:]))}
        record |= dict.fromkeys(("test_error_percent", "validation_error_percent"))
        record |= {"paper_percent": None, "backend": layer.backend_}
        record |= {"losses": [layer.loss_history_] if kind in POOLINGS else []}
        record |= {"seconds": watch.seconds | {"total": round(sum(watch.seconds.values()), 2)}}
        results.add(record | environment())
        fits.remove(_names(draws))
        watch = Stopwatch()


def settings_of(kind, numbers, n_draws):
    """What a record of a kind of features adds to the row's settings."""
    found = {"labels_per_class": numbers, "draws": n_draws, "choosing_draws": CHOOSING_DRAWS}
    found |= {"l2": list(PENALTIES), "max_iter": MAX_ITER, "feature_scaling": SCALING}
    return found | ({"pooling": POOLINGS[kind]} if kind in POOLINGS else {})


def scaled(features):
    """Features (n, ...), each image's divided by their length, in place."""
    maps = features.reshape(len(features), 1, 1, -1)
    return FeatureScaling(SCALING).fit(maps).apply_(maps).reshape(features.shape)


def _name(l2, n, draw):
    """Of a fit: its penalty, the labels a class, and which draw of them."""
    return f"svm-l2-{l2:g}-labels-{n}-draw-{draw}"


def _names(draws):
    """Of all fits on the draws, {labels a class: a list}."""
    return [_name(l2, n, draw) for n in draws for draw in range(len(draws[n])) for l2 in PENALTIES]


def _score(fits, n, sets, truths, labels, draws):
    """The penalty that is best on validation images, and every draw's test error with it.

    draws: of n labels a class, rows of what was drawn.
    """

    def fitted(l2, draw):
        classifier = minisca.LinearSVM(l2=l2, max_iter=MAX_ITER, verbose=False)
        rows, options = draws[draw], fits.options(_name(l2, n, draw))
        return classifier.fit(sets["drawn"][rows], labels[rows], **options)

    def errors(classifiers, half):
        scores = [classifier.score(sets[half], truths[half]) for classifier in classifiers]
        return [round(100 * (1 - score), 4) for score in scores]

    first = range(len(draws))[:CHOOSING_DRAWS]
    classifiers = {l2: [fitted(l2, draw) for draw in first] for l2 in PENALTIES}
    by_l2 = {l2: float(np.mean(errors(classifiers[l2], "validation"))) for l2 in PENALTIES}
    best = min(PENALTIES, key=by_l2.get)
    rest = range(len(first), len(draws))
    chosen = classifiers[best] + [fitted(best, draw) for draw in rest]
    test = errors(chosen, "test")
    return {
        "l2": best,
        "test_errors_percent": test,
        "mean_test_error_percent": float(np.mean(test)),
        "deviation": float(np.std(test, ddof=1)),
        "validation_errors_percent": errors(chosen, "validation"),
        "mean_validation_error_by_l2": {f"{l2:g}": error for l2, error in by_l2.items()},
    }


def kind_of(record):
    return record["row"].partition(f"{ROW}-")[2]


def errors_by_kind(records):
    """{kind of features: {labels a class: every draw's test error}}, over all seeds."""
    found = {}
    for record in records:
        kind = found.setdefault(kind_of(record), {})
        for point in record["curve"]:
            kind.setdefault(point["labels_per_class"], []).extend(point["test_errors_percent"])
    return found


def few_labels_table(records):
    """Header and rows of a table of mean test errors by labels a class."""
    found = errors_by_kind(records)
    numbers = sorted(set().union(*found.values()))
    sizes = {kind_of(record): f"{record['n_features']:,}" for record in reversed(records)}

    def cell(errors):
        return f"{np.mean(errors):.2f} ± {np.std(errors, ddof=1):.2f} %" if errors else "-"

    rows = [
        [kind, sizes[kind], *(cell(errors.get(n)) for n in numbers)]
        for kind, errors in found.items()
    ]
    return ["labels a class", "features", *map(str, numbers)], rows


def draw_curves(path, records):
    """Draw the mean test errors of all kinds of features over the labels a class, into a PNG."""
    curves = {
        kind: (list(found), [np.mean(errors) for errors in found.values()])
        for kind, found in errors_by_kind(records).items()
    }
    log = "xy" if all(min(means) > 0 for _, means in curves.values()) else "x"
    save_curves(path, curves, xlabel="labels a class", ylabel="test error, %", log=log)
