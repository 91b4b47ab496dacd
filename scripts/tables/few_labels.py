"""Features learned from all images, a classifier learned from few labels: error by their number.

Every kind of features is learned from all training images, without their labels. The classifier is
logistic regression on 10 to 300 labels a class, drawn at random ten times, the same draws for every
kind. Its L2 penalty is the one with the lowest error on the validation images (the last of the
training set, of which no label is drawn), as a mean over the draws, for each kind and number by
itself; those validation labels are more than the few that the classifier has. With it, every draw's
classifier is then scored on the test images.
"""

import numpy as np
from common.records import Stopwatch, environment, print_table
from tqdm import tqdm

import minisca
from minisca.baselines import TriangleKMeans
from minisca.figures.page import COLOURS, FAINT, INK, Page

ROW = "few-labels"
LABELS_PER_CLASS = (10, 30, 60, 100, 300)
DRAWS = 10
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class PCA:
    """The projections of images on the directions of largest variance."""

    def __init__(self, n_components):
        self.n_components = n_components

    def fit(self, images):
        flat = images.reshape(len(images), -1)
        self.mean_ = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = flat - self.mean_
        _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        self.directions_ = directions[:, ::-1][:, : self.n_components].astype(np.float32)
        return self

    def transform(self, images):
        return (images.reshape(len(images), -1) - self.mean_) @ self.directions_


class Pixels:
    def transform(self, images):
        return images.reshape(len(images), -1)


def encoders(layer, images, seed):
    """{kind: function that learns what transforms images}, baselines as large as the layer.

    k-means has as many maps, patches as wide as the filters, and as fine a grid as the pooled
    maps. PCA has as many components as there are maps: images have no more directions than pixels.
    """
    grid = -(-images.shape[2] // layer.pool_stride)
    width = layer.filter_width
    means = TriangleKMeans(layer.n_maps, patch_width=width, grid=grid, random_state=seed)
    return {
        "winner-take-all": lambda: layer,
        "triangle-k-means": lambda: means.fit(images),
        "pca": lambda: PCA(layer.n_maps).fit(images),
        "pixels": Pixels,
    }


def draw_rows(labels, per_class, seed, draw):
    """Rows of `per_class` labels of each class, without repetition, in rising order."""
    random = np.random.default_rng([seed, per_class, draw])
    classes = np.unique(labels)
    rows = [random.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in classes]
    return np.sort(np.concatenate(rows))


def run_few_labels(reproduction, seed):
    """Measure every kind of features with one seed, unless its record is there."""
    data, quick = reproduction.data, reproduction.arguments.quick
    (_, labels), (validation, validation_labels) = data.validation_split()
    least = np.unique(labels, return_counts=True)[1].min()
    numbers = [n for n in LABELS_PER_CLASS if n <= least]
    settings = reproduction.settings(ROW, seed) | {
        "labels_per_class": numbers,
        "draws": 2 if quick else DRAWS,
        "l2": list(PENALTIES),
    }
    watch = Stopwatch()
    (layer,), _ = reproduction.train(seed, settings, watch)
    for kind, learn in encoders(layer, data.train_images, seed).items():
        name = f"{reproduction.prefix}-{ROW}-{kind}"
        if reproduction.results.find(name, seed, data.name, settings) is not None:
            print(f"{name}, seed {seed}: already in {reproduction.results.path}")
            continue
        draws = {
            n: [draw_rows(labels, n, seed, draw) for draw in range(settings["draws"])]
            for n in numbers
        }
        drawn = np.unique(np.concatenate([rows for found in draws.values() for rows in found]))
        with watch("train"):
            encoder = learn()
        with watch("encode"):
            sets = {
                "drawn": encoder.transform(data.train_images[drawn]),
                "validation": encoder.transform(validation),
                "test": encoder.transform(data.test_images),
            }
        truths = {"validation": validation_labels, "test": data.test_labels}
        with watch("classify"), tqdm(total=len(numbers), desc=kind, disable=None) as bar:
            curve = []
            for n in numbers:
                places = [np.searchsorted(drawn, rows) for rows in draws[n]]
                curve.append({"labels_per_class": n} | _score(sets, truths, labels[drawn], places))
                bar.update()
        record = {"row": name, "seed": seed, "curve": curve, "data": data.name}
        record |= {"test_error_percent": None, "validation_error_percent": None}
        record |= {"paper_percent": None, "settings": settings, "backend": layer.backend_}
        record |= {"n_features": int(np.prod(sets["drawn"].shape[1:]))}
        record |= {"losses": [layer.loss_history_] if encoder is layer else []}
        record |= {"seconds": watch.seconds | {"total": round(sum(watch.seconds.values()), 2)}}
        reproduction.results.add(record | environment())
        watch = Stopwatch()


def _score(sets, truths, labels, draws):
    """The penalty that is best on validation images, and every draw's test error with it."""
    fitted = {
        l2: [
            minisca.LogisticRegression(l2=l2, verbose=False).fit(sets["drawn"][rows], labels[rows])
            for rows in draws
        ]
        for l2 in PENALTIES
    }

    def errors(l2, half):
        scores = [classifier.score(sets[half], truths[half]) for classifier in fitted[l2]]
        return [round(100 * (1 - score), 4) for score in scores]

    validation = {l2: errors(l2, "validation") for l2 in PENALTIES}
    best = min(PENALTIES, key=lambda l2: np.mean(validation[l2]))
    test = errors(best, "test")
    return {
        "l2": best,
        "test_errors_percent": test,
        "mean_test_error_percent": float(np.mean(test)),
        "deviation": float(np.std(test, ddof=1)),
        "validation_errors_percent": validation[best],
        "mean_validation_error_by_l2": {
            f"{l2:g}": float(np.mean(e)) for l2, e in validation.items()
        },
    }


def report_few_labels(records, path):
    """A table of mean test errors by labels a class, and its picture at `path`."""
    records = [record for record in records if f"-{ROW}-" in record["row"]]
    if not records:
        return
    numbers = sorted({point["labels_per_class"] for r in records for point in r["curve"]})
    rows, curves = [], {}
    for name in dict.fromkeys(record["row"] for record in records):
        own = [record for record in records if record["row"] == name]
        cells, points = [], []
        for n in numbers:
            errors = [
                error
                for record in own
                for point in record["curve"]
                if point["labels_per_class"] == n
                for error in point["test_errors_percent"]
            ]
            if errors:
                points.append((n, np.mean(errors), np.std(errors, ddof=1)))
            cells.append(f"{points[-1][1]:.2f} ± {points[-1][2]:.2f} %" if errors else "-")
        kind = name.partition(f"{ROW}-")[2]
        curves[kind] = np.array(points).T
        rows.append([kind, str(own[0]["n_features"]), *cells])
    print("\nTest error by labels a class, mean ± standard deviation over draws (and seeds):")
    print_table(["features", "number", *map(str, numbers)], rows)
    draw_curves(path, curves)


def draw_curves(path, curves):
    """Write the PNG `path`. curves: {kind: labels a class, mean error, deviation}, rows (3, n)."""
    page = Page(1200, 800)
    axes = page.axes(120, 50, 1040, 630)
    for (kind, (x, mean, deviation)), colour in zip(curves.items(), COLOURS, strict=False):
        axes.errorbar(
            x, mean, deviation, fmt="o-", ms=3, lw=1.2, capsize=2, color=colour, label=kind
        )
    axes.set(xscale="log", yscale="log")
    ticks = sorted({float(x) for points in curves.values() for x in points[0]})
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(which="both", labelsize=7, color=FAINT, labelcolor=INK, width=0.6)
    axes.minorticks_off() if len(ticks) > 8 else axes.tick_params(
        axis="x", which="minor", bottom=False
    )
    axes.set_xlabel("labels a class", fontsize=8, color=INK)
    axes.set_ylabel("test error, %", fontsize=8, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=7, labelcolor=INK)
    page.save(path)
