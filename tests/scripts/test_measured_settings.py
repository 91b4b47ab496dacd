"""What was measured is what the commands would measure today: they find every record again."""

import json
from types import SimpleNamespace

import compare_encodings
import compare_sparsity
import numpy as np
import pytest
import reproduce_cifar10
import reproduce_mnist
import reproduce_norb
from common.records import LATER_SETTINGS, Results, same_settings
from features.altered import ALTERED
from paper_figures import accuracy, filters
from paper_figures.run import FigureRun
from tables import few_labels
from tables.rows import extended, planned, prepared
from tables.run import identity

import minisca
from tests.support.script_runs import ROOT

MEASURED = ROOT / "reference" / "measured"


def records(name):
    return Results(MEASURED, resume=True, name=f"{name}.json").records


def command(record, **options):
    """The arguments of the run that left a record, as far as they are in it."""
    names = ("epochs", "deep_epochs", "images", "maps")
    arguments = dict.fromkeys(names) | {"output": "out", "quick": False, "backend": "auto"}
    arguments |= {"seed": record["seed"], "resume": True, "whitened": True}
    return SimpleNamespace(**arguments | options)


def found_again(table, name, row, record, n_images, way=""):
    arguments = command(record, backend=record["settings"]["layers"][0].get("backend", "auto"))
    row = planned(row, record["seed"], table.quick_maps, arguments)
    images = SimpleNamespace(name=record["data"], train_labels=range(n_images))
    run = identity(table, name, row, record["seed"], way, images, arguments)
    assert run["row"] == record["row"]
    assert same_settings(json.loads(json.dumps(run["settings"])), record["settings"])


def extensions_of(record):
    """What `extended` takes: the extensions, and what the scores are averaged over."""
    chosen = dict(record["settings"].get("extensions", {}))
    return chosen, next((name for name in ALTERED if chosen.pop(name, None)), "")


@pytest.mark.parametrize("file", ["mnist", "fashion-mnist"])
def test_rows_of_table_1_and_their_extensions(file):
    plain = [record for record in records(file) if "curve" not in record]
    assert len(plain) > 1
    for record in plain:
        chosen, way = extensions_of(record)
        names = [n for n in reproduce_mnist.ROWS if f"{record['row']}-".startswith(f"mnist-{n}-")]
        name = max(names, key=len)
        row = extended(reproduce_mnist.ROWS[name], chosen, way)
        found_again(reproduce_mnist.TABLE, name, row, record, 60_000, way)


def test_few_labels_of_table_1():
    curves = [record for record in records("mnist") if "curve" in record]
    assert {few_labels.kind_of(record) for record in curves} == {
        *few_labels.POOLINGS,
        *("triangle-k-means", "pca", "pixels"),
    }
    row = reproduce_mnist.ROWS[few_labels.ROW]
    for record in curves:
        settings = planned(row, record["seed"], 512, command(record)).settings(60_000, False)
        of_all = [*few_labels.LABELS_PER_CLASS], few_labels.DRAWS
        settings |= few_labels.settings_of(few_labels.kind_of(record), *of_all)
        assert same_settings(settings, record["settings"])
        for point in record["curve"]:
            assert point["mean_test_error_percent"] == np.mean(point["test_errors_percent"])
            by_l2 = point["mean_validation_error_by_l2"]
            assert f"{point['l2']:g}" == min(by_l2, key=by_l2.get)


def test_rows_of_table_2():
    for record in records("cifar10"):
        known = sorted(reproduce_cifar10.ROWS, key=len)
        name = [row for row in known if record["row"].startswith(f"cifar-{row}")][-1]
        rows = prepared(reproduce_cifar10.ROWS, command(record, rows=[name]))
        chosen, way = extensions_of(record)
        row = extended(rows[name], chosen, way)
        found_again(reproduce_cifar10.TABLE, name, row, record, 50_000, way)


def test_rows_of_table_3():
    for record in records("norb"):
        name = record["row"].removeprefix("norb-")
        rows = prepared(reproduce_norb.ROWS, command(record, rows=[name]))
        found_again(reproduce_norb.TABLE, name, rows[name], record, 24_300)


def test_every_sparsity_rule():
    for record in records("sparsity"):
        asked = record["settings"]["layers"][0].get("backend", "auto")
        run = FigureRun(command(record, backend=asked))
        rule = record["row"].removeprefix("sparsity-")
        options = {"learning_rate": compare_sparsity.RATE} | compare_sparsity.variants(16)[rule]
        layer = run.layer(n_maps=16, n_epochs=run.epochs(10), **options)
        settings = {"layers": [layer.get_params()], "train_images": 10_000, "quick": False}
        settings["classifier"] = minisca.LogisticRegression().get_params()
        assert same_settings(settings, record["settings"])


def test_every_encoding():
    for record in records("encodings"):
        run, settings = FigureRun(command(record)), record["settings"]
        encoding, pooling = settings["encoding"], settings["pooling"]
        model = compare_encodings.make_model(run, encoding, settings["model"]["n_maps"])
        classifier = {"l2": compare_encodings.L2[pooling], "max_iter": compare_encodings.MAX_ITER}
        assert settings["classifier"] == classifier
        assert same_settings(model.get_params(), settings["model"])


def test_every_point_of_figure_1c():
    for record in records("figure-1c"):
        settings = record["settings"]
        asked = settings["model"].get("backend", "auto")
        run = FigureRun(command(record, epochs=4, backend=asked))
        method, whitened = settings["method"], settings["whitened"]
        model = accuracy.make_model(run, method, settings["model"]["n_maps"], whitened)
        assert same_settings(model.get_params(), settings["model"])
        if method != "supervised":
            l2 = accuracy.L2[method, "whitened" if whitened else "raw"]
            classifier = minisca.LogisticRegression(l2=l2)
            assert same_settings(classifier.get_params(), settings["classifier"])


def test_every_layer_of_the_figures_of_filters():
    known = LATER_SETTINGS | minisca.SparseConvAutoencoder().get_params()
    for record in records("figures"):
        name = record["row"].removeprefix("figure-")
        if name in filters.CONVOLUTIONAL:
            *_, options = filters.CONVOLUTIONAL[name]
            (layer,) = record["settings"]["layers"]
            assert known | layer == known | layer | filters.WIDE | options
