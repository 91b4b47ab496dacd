"""What the commands that reproduce a table of the paper do: `run_table`, and its steps below."""

import copy
from functools import partial
from itertools import product, starmap
from pathlib import Path

import numpy as np
from common.fits import FitFiles
from common.ranks import counted, is_first, together
from common.records import Results, Stopwatch, environment, published
from features.altered import ALTERED, augmented
from features.files import FeatureFiles, encode_layer
from tables.encoded import Encoded, HandedOn
from tables.few_labels import ROW as FEW_LABELS
from tables.few_labels import measure_few_labels
from tables.images import prepare
from tables.layer_files import LayerFiles, named
from tables.pictures import draw_row, last_picture
from tables.report import report
from tables.rows import planned

from minisca.backends import get_backend, name_of
from minisca.baselines import TriangleKMeans
from minisca.classifiers import SoftmaxSGD


def run_table(table, rows, images, arguments):
    """Measure rows {name: Row} with every seed, unless their records are there; then report.

    In place of a Row there may be a list of some that differ in their classifiers: their features
    are encoded once. Writes results.json, layers/, classifiers/, pictures/ and report.html into
    --output.
    """
    output = Path(arguments.output)
    results = Results(output, arguments.resume)
    layer_files = LayerFiles(output / "layers", arguments.resume)
    files = FeatureFiles(output) if table.large_in_files else None
    ready, drawn, shared, handed_on = {"none": images}, set(), None, HandedOn()
    turns = [
        (seed, name, planned(row, seed, table.quick_maps, arguments), *others)
        for seed, (name, row, *others) in product(arguments.seeds, in_turn(rows))
    ]
    for turn, (seed, name, row, is_next, follows) in enumerate(turns, 1):
        shared = shared if is_next else None
        runs = {way: identity(table, name, row, seed, way, images, arguments) for way in row.ways}
        fits = FitFiles(results, runs[""])
        missing = [way for way, run in runs.items() if results.find(**run) is None]
        draws = arguments.pictures and name not in drawn
        drawn.add(name)
        picture = last_picture(output / "pictures", name, row)
        done = not missing and (picture.exists() or not draws)
        if name != FEW_LABELS and done and not any(starmap(layer_files.is_unfinished, named(row))):
            fits.remove(fit_names(row))  # a run that was killed may have left them
            print(f"row {name}, seed {seed}: already in {results.path}")
            continue
        print(f"row {name}, seed {seed}")
        watch = Stopwatch(waiting_for_device(arguments.backend))
        if row.preparation not in ready:
            with watch("prepare"):
                backend = name_of(get_backend(arguments.backend))
                where = output / "layers", arguments.resume, backend
                ready[row.preparation] = prepare(images, row.preparation, *where)
        prepared = ready[row.preparation]
        if shared is None or shared.row.stays_on_device != row.stays_on_device:
            following = next((other for _, _, other, same, _ in turns[turn:] if not same), None)
            first = partial(handed_on.features, row, following)
            layers, outputs = train_layers(row, prepared.train, layer_files, files, watch, first)
            if name == FEW_LABELS:
                measure_few_labels(runs[""], layers[0], prepared, results, watch)
                continue
            shared = Encoded(row, layers, outputs, prepared, files)
        layers, shared.is_last = shared.layers, not follows
        classifier, predicted = evaluate(row, shared, prepared, watch, fits)
        if not is_first():
            continue
        # What comes after the records is made again where a run that was killed did not get there.
        if classifier is not None:
            classifier.save(output / "classifiers" / f"{name}-seed{seed}{row.variant}.npz")
        if draws:
            picture.unlink(missing_ok=True)
        for way in missing:
            figures = errors(row, predicted[way], prepared, table.accuracies)
            results.add(record(runs[way], layers, figures, table, watch, way))
        if draws:
            labels = predicted[""][1] if row.classifier is not None else None
            draw_row(output / "pictures", name, row, layers, prepared, labels, arguments.quick)
        fits.remove(fit_names(row))
    results.records = results.read()  # another process may have added its own since
    if is_first():
        report(table, results, images, arguments)
    return results


def in_turn(rows):
    """[(name, Row, whether it has the features of the one before, and of the next)] of all rows."""
    return [
        (name, row, index > 0, index + 1 < len(group))
        for name, found in rows.items()
        for group in [found if isinstance(found, list) else [found]]
        for index, row in enumerate(group)
    ]


def identity(table, name, row, seed, way, images, arguments):
    """What a record is found again by."""
    return {
        "row": f"{table.prefix}-{name}{row.variant}{way and f'-{way}'}",
        "seed": seed,
        "data": images.name,
        "settings": row.settings(len(images.train_labels), arguments.quick, way),
    }


def train_layers(row, images, layer_files, feature_files, watch, first):
    """The row's layers, each trained on the features of the one below, and what `encode` returns.

    Nothing is encoded for a row without a classifier. first: from a function that encodes by the
    first layer to its features, as `HandedOn` has them.
    """
    if row.k_means:
        return train_k_means(row, images, layer_files.directory, feature_files, watch)
    features, layers, outputs = images, [], []
    for layer, name in named(row):
        layers.append(layer_files.fit(layer, features, name, watch))
        if row.classifier is not None:
            where = feature_files, row.stays_on_device
            encode = partial(encode_layer, layers[-1], features, *where)
            with watch("encode"):
                features = first(encode) if len(layers) == 1 else encode()
            outputs = [*outputs, features] if "concatenate" in row.extensions else [features]
    return layers, outputs


def train_k_means(row, images, directory, feature_files, watch):
    """As `train_layers`; it takes seconds, and so is never gone on with."""
    means = TriangleKMeans(**row.layers[0])
    with watch("train"):
        means.fit(images)
    means.save(directory / f"k-means-{means.n_maps}-seed{means.random_state}.npz")
    with watch("encode"):
        return [means], [encode_layer(means, images, feature_files)]


def evaluate(row, encoded, images, watch, fits=None):
    """The row's classifier, fitted to all training labels, and {way: what it predicts}.

    That is labels of the validation images, by a classifier that was fitted without theirs, and of
    the test images. One that stops early is fitted once: to the others' labels, stopped by the
    validation images, of which its error is therefore the lowest of all its epochs. For a row that
    has none: None, and the test images' mean reconstruction error. encoded: the row's `Encoded`.
    fits: the FitFiles; without, a fit that is interrupted is lost.
    """
    if row.classifier is None:
        with watch("reconstruct"):
            return None, {"": -encoded.layers[0].score(images.test[:1000])}
    features, see = encoded.train, encoded.see
    classifier = copy.copy(row.classifier)
    n, labels = images.n_fit, images.train_labels
    stops_early = isinstance(classifier, SoftmaxSGD)
    for_validation, for_test = fit_names(row)

    def fit(features, images, labels, name, **options):
        if "augment" in row.extensions:
            with watch("encode"):
                features, labels = augmented(features, labels, images, see)
        with watch("classify"):
            options |= (fits.options(name) if fits else {}) | ({} if stops_early else together())
            classifier.fit(features, labels, **options)

    def predict(images, read):
        with watch("encode"):
            features = read()
        with watch("classify"):
            scores = classifier.decision_function(features)
        del features  # their memory is the altered images', if nobody else wants them
        found = {"": labels_of(classifier, scores)}
        if row.altered:
            with watch(row.altered):
                for others in ALTERED[row.altered](images):
                    scores = scores + classifier.decision_function(see(others))
            found[row.altered] = labels_of(classifier, scores)
        return found

    n_images = n * images.views
    held_out = {"validation": (features[n:], labels[n:])} if stops_early else {}
    fit(features[:n], images.train[:n_images], labels[:n], for_validation, **held_out)
    validation = predict(images.train[n_images:], lambda: encoded.train[n:])
    if not stops_early:
        fit(features, images.train, labels, for_test)
    del features, held_out
    test = predict(images.test, encoded.see_test)
    return classifier, {way: (validation[way], test[way]) for way in row.ways}


def fit_names(row):
    """What the fits of a row's classifier are called: for validation, and for the test images."""
    if row.classifier is None:
        return []
    kind, l2 = type(row.classifier).__name__, getattr(row.classifier, "l2", None)
    name = kind if l2 is None else f"{kind}-l2-{l2}"
    return [f"{name}-{part}" for part in ("validation", "test")]


def labels_of(classifier, scores):
    """The labels that a classifier's scores mean."""
    codes = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
    return classifier.classes_[codes.astype(int)]


def errors(row, predicted, images, accuracies):
    """The figures of a record: errors in percent, and accuracies where they are asked for."""
    found = {"test_error_percent": None, "validation_error_percent": None}
    if row.classifier is None:
        return found | {"reconstruction_error": predicted}
    truths = {"validation": images.train_labels[images.n_fit :], "test": images.test_labels}
    for (half, truth), labels in zip(truths.items(), predicted, strict=True):
        error = round(100 * float(np.mean(labels != truth)), 4)
        found[f"{half}_error_percent"] = error
        if accuracies:
            found[f"{half}_accuracy_percent"] = round(100 - error, 4)
    return found


def record(run, layers, figures, table, watch, way):
    """A run's record; the seconds of altered images count in the record of these alone."""
    comparable = table.comparable(run["data"], run["settings"]["quick"])
    k_means = isinstance(layers[0], TriangleKMeans)
    found = environment() | counted()
    device = device_name(layers[0].backend if k_means else layers[0].backend_)
    found["machine"] |= {} if device is None else {"device": device}
    spent = {phase: t for phase, t in watch.seconds.items() if phase == way or phase not in ALTERED}
    return {
        **run,
        **figures,
        "paper_percent": published(run["row"]) if comparable else None,
        "backend": layers[0].backend if k_means else layers[0].backend_,
        "seconds": spent | {"total": round(sum(spent.values()), 2)},
        "losses": [] if k_means else [layer.loss_history_ for layer in layers],
        **found,
    }


def waiting_for_device(backend):
    """What waits until all that was begun on the device is done; None on the CPU."""
    column = get_backend(backend)
    if name_of(column) == "cpu":
        return None
    return lambda: column.to_host(column.to_device(np.zeros(1)))


def device_name(backend):
    """The name of the device that the backend computes on; None of the CPU."""
    if backend == "cpu":
        return None
    from bench.machines import open_machine  # it imports all that measures

    return open_machine(backend).description()["name"]
