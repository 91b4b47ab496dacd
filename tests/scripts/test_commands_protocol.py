"""What the commands hand on: which data set, which rows, which images, which records."""

import json
from types import SimpleNamespace

import figures
import numpy as np
import pytest
import reproduce_cifar10
import reproduce_mnist
import reproduce_norb
import study
from studies.report import best, cells
from tables.rows import planned

import minisca
from minisca.datasets import Dataset, DatasetNotFoundError
from minisca.datasets.cifar import CLASS_NAMES
from tests.support.experiments import numbered, numbers
from tests.support.script_runs import refusal, run_here


@pytest.fixture
def handed(monkeypatch):
    """What the commands of the tables hand to `run_table`, which is not run."""
    given = []

    def run_table(*arguments):
        given.append(arguments)
        return SimpleNamespace(records=[])

    for script in (reproduce_mnist, reproduce_cifar10, reproduce_norb):
        monkeypatch.setattr(script, "run_table", run_table)
    return given


def data(name, n=20):
    return Dataset(numbered(1, n, 3), np.arange(n), numbered(101, n), np.arange(n), name, "here")


# Tables ---------------------------------------------------------------------------------------


def test_every_data_set_is_loaded_by_its_own_loader_into_a_folder_of_its_own(handed, monkeypatch):
    for name in reproduce_mnist.LOADERS:
        monkeypatch.setitem(reproduce_mnist.LOADERS, name, lambda given, name=name: data(name))
    for options, name, output in (
        ([], "mnist", "out/mnist"),
        (["--data", "fashion-mnist"], "fashion-mnist", "out/fashion-mnist"),
        (["--data", "fashion-mnist", "--output", "mine"], "fashion-mnist", "mine"),
        (["--output", "mine"], "mnist", "mine"),
    ):
        run_here(reproduce_mnist, *options)
        table, rows, images, arguments = handed.pop()
        assert (images.name, arguments.output) == (name, output)
        assert (table, [*rows]) == (reproduce_mnist.TABLE, ["16", "128"])
        assert numbers(images.train) == list(range(1, 21))
        assert images.n_fit == 16


def test_extensions_change_the_rows_of_one_command_and_none_of_the_tables(handed, monkeypatch):
    monkeypatch.setitem(reproduce_mnist.LOADERS, "mnist", lambda given: data("MNIST"))
    options = ["--l2", 0.5, "--lifetime", 0.25, "--concatenate", "--augment", "--shifts"]
    for classifier in ("svm", "logistic"):  # those with a penalty
        run_here(reproduce_mnist, "--rows", "128", *options, "--classifier", classifier)
        ((row,),) = handed.pop()[1].values()
        plain = reproduce_mnist.ROWS["128"]
        kind = plain.others.get(classifier, plain.classifier)
        assert (type(row.classifier), row.classifier.l2) == (type(kind), 0.5)
        assert row.altered == "shifts"
        assert row.layers == ({**plain.layers[0], "lifetime": 0.25},)
        assert {"l2", "lifetime", "concatenate", "augment"} <= set(row.extensions)
        run_here(reproduce_mnist, "--rows", "128")
        ((row,),) = handed.pop()[1].values()
        assert (row.classifier.l2, row.altered, row.extensions) == (0.03, "", {})
        assert plain.others["logistic"].l2 == 1e-3


LOGISTIC = {"classifier": "logistic"}


@pytest.mark.parametrize(
    ("script", "row", "classifier", "kind", "extensions"),
    [
        (reproduce_mnist, "16", "svm", minisca.LinearSVM, {}),
        (reproduce_mnist, "deep", "sgd", minisca.SoftmaxSGD, {"classifier": "sgd"}),
        (reproduce_cifar10, "deep", "svm", minisca.LinearSVM, {}),
        (reproduce_cifar10, "512", "logistic", minisca.LogisticRegression, LOGISTIC),
        (reproduce_cifar10, "deep", "sgd", minisca.SoftmaxSGD, {"classifier": "sgd"}),
    ],
)
def test_a_row_has_the_classifier_that_is_asked_for(
    handed, monkeypatch, script, row, classifier, kind, extensions
):
    monkeypatch.setitem(reproduce_mnist.LOADERS, "mnist", lambda given: data("MNIST"))
    loaders = {"load_cifar10": lambda given: data("CIFAR-10")}
    monkeypatch.setattr(reproduce_cifar10, "datasets", SimpleNamespace(**loaders))
    run_here(script, "--rows", row, "--classifier", classifier, "--seeds", 4)
    _, rows, _, arguments = handed.pop()
    (chosen,) = rows[row]
    assert type(chosen.classifier) is kind
    assert chosen.extensions == extensions
    if classifier == "sgd":
        seeded = planned(chosen, 4, 512, arguments).classifier
        assert (seeded.random_state, chosen.classifier.random_state) == (4, None)
        said = refusal(script, "--classifier", "sgd", "--l2", "0.1")
        assert "--l2 is 0.1; it must not be given, for sgd has no penalty" in said


def test_of_several_classifiers_every_row_comes_with_each_that_is_named_once(handed, monkeypatch):
    monkeypatch.setitem(reproduce_mnist.LOADERS, "mnist", lambda given: data("MNIST"))
    kinds = "logistic", "svm", "logistic"
    run_here(reproduce_mnist, "--rows", "16", "128", "--classifier", *kinds, "--l2", 0.5)
    for rows in handed.pop()[1].values():
        names = [type(row.classifier).__name__ for row in rows]
        assert names == ["LogisticRegression", "LinearSVM"]
        assert [row.extensions.get("classifier") for row in rows] == ["logistic", None]
        assert rows[0].layers == rows[1].layers
    said = refusal(reproduce_mnist, "--classifier", "svm", "sgd", "--l2", "0.1")
    assert "--l2 is 0.1; it must not be given, for sgd has no penalty" in said


@pytest.mark.parametrize("script", [reproduce_cifar10, reproduce_norb])
def test_an_encoding_contrast_is_of_all_rows_but_k_means(handed, monkeypatch, script):
    loaders = {"load_cifar10": lambda given: data("CIFAR-10")}
    monkeypatch.setattr(reproduce_cifar10, "datasets", SimpleNamespace(**loaders))
    monkeypatch.setattr(reproduce_norb, "load_images", lambda arguments: None)
    run_here(script, "--encoding-contrast", 2, "--rows", *script.ROWS)
    for (row,) in handed.pop()[1].values():
        found = [layer.get("encoding_contrast") for layer in row.layers]
        assert found == [None if row.k_means else 2] * len(row.layers)
        assert row.variant == ("" if row.k_means else "-contrast-2")


@pytest.mark.parametrize("script", [reproduce_mnist, reproduce_cifar10])
def test_only_a_quick_run_leaves_images_out(handed, monkeypatch, script):
    loaders = {"load_cifar10": lambda given: data("CIFAR-10", 5003)}
    monkeypatch.setattr(reproduce_cifar10, "datasets", SimpleNamespace(**loaders))
    monkeypatch.setitem(reproduce_mnist.LOADERS, "mnist", lambda given: data("MNIST", 5003))
    for options, n in (([], 5003), (["--quick"], 5000)):
        run_here(script, *options)
        _, _, images, arguments = handed.pop()
        assert (len(images.train), arguments.quick) == (n, n == 5000)
        assert (images.name in ("MNIST", "CIFAR-10")) == (n == 5003)


def test_colour_images_are_whitened_unless_raw_under_their_label_with_their_classes(
    handed, monkeypatch
):
    loaders = {"load_cifar10": lambda given: data("CIFAR-10")}
    monkeypatch.setattr(reproduce_cifar10, "datasets", SimpleNamespace(**loaders))
    for options, preparation, name in (
        ([], "whitened", "CIFAR-10"),
        (["--raw", "--label", "a copy"], "raw", "a copy"),
    ):
        run_here(reproduce_cifar10, *options)
        _, rows, images, _ = handed.pop()
        assert [row.preparation for (row,) in rows.values()] == [preparation]
        assert (images.name, images.class_names) == (name, CLASS_NAMES)


def test_views_of_a_pair_stand_side_by_side_and_the_left_is_shown(handed, monkeypatch):
    rng = np.random.default_rng(0)
    halves = {
        f"{half}_{part}": array
        for half, n in (("train", 50), ("test", 6))
        for part, array in (
            ("images", rng.integers(0, 256, (n, 2, 12, 12), np.uint8)),
            ("labels", np.arange(n) % 5),
            ("info", np.stack([np.arange(n) // 5 % 5, *[np.arange(n)] * 3], 1)),
        )
    }
    pairs = reproduce_norb.datasets.StereoDataset(**halves, name="small NORB", source="here")
    monkeypatch.setattr(reproduce_norb.datasets, "load_norb", lambda given: pairs)
    run_here(reproduce_norb)
    _, _, images, _ = handed.pop()
    order = np.argsort(halves["train_info"][:, 0] == 4, kind="stable")
    views = reproduce_norb.inner_half(halves["train_images"][order])
    assert images.views == 2
    np.testing.assert_array_equal(images.train[0::2, 0], views[:, 0])
    np.testing.assert_array_equal(images.train[1::2, 0], views[:, 1])
    np.testing.assert_array_equal(images.train_labels, halves["train_labels"][order])
    assert images.n_fit == 40  # ten pairs of the last toy
    shown = reproduce_norb.inner_half(halves["test_images"])[:, :1]
    np.testing.assert_array_equal(images.shown, shown)


# Figures and studies --------------------------------------------------------------------------


def test_a_missing_data_set_ends_the_command_only_if_its_figure_was_asked_for(
    monkeypatch, tmp_path
):
    drawn = []

    def draw(run, name):
        if name == "1b":
            raise DatasetNotFoundError("no file")
        drawn.append(name)

    for name in figures.FIGURES:
        monkeypatch.setitem(figures.FIGURES, name, draw)
    printed = run_here(figures, "--output", tmp_path)
    assert "Figure 1b is left out. no file" in printed
    assert drawn == [name for name in figures.FIGURES if name != "1b"]
    with pytest.raises(SystemExit, match="Figure 1b is left out"):
        run_here(figures, "1b", "4", "--output", tmp_path)
    assert drawn[-1] == "4"


def test_a_runs_seconds_are_its_own(monkeypatch):
    """The layer's training counts in the first of its runs."""
    now, appended = [0.0], []
    monkeypatch.setattr(study, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def records(runs):
        for run in runs:
            now[0] += run.takes
            yield run, {"score": run.takes}

    runs = [SimpleNamespace(takes=takes, seed=4, settings=lambda: {"a": 1}) for takes in (9, 2, 3)]
    measure = SimpleNamespace(records=records, key=lambda run: f"k{run.takes}", score="score")
    measure.layer_key, measure.images = (lambda run: "layer"), SimpleNamespace(name="d")
    measure.below = None
    bar = SimpleNamespace(update=lambda: None, set_postfix=lambda **_: None)
    study.run_group(runs, measure, SimpleNamespace(append=appended.append), bar)
    assert [(r["key"], r["seconds"], r["score"]) for r in appended] == [
        ("k9", 9, 9),
        ("k2", 2, 2),
        ("k3", 3, 3),
    ]
    for record in appended:
        assert (record["seed"], record["data"], record["settings"]) == (4, "d", {"a": 1})


def test_of_two_data_sets_that_with_most_runs_is_reported_alone(monkeypatch, tmp_path):
    given = []
    text = 'design = "star"\nscore = "validation_loss"\n[training]\nn_maps = 4'
    (tmp_path / "s.toml").write_text(text)
    settings = study.read_space(tmp_path / "s.toml").runs([0])[0].settings()
    lines = [{"key": str(n), "data": "ab"[n > 0], "settings": settings} for n in range(3)]
    (tmp_path / "runs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setattr(
        study, "report", lambda records, space, *_: given.append((records, space.score))
    )
    arguments = [tmp_path / "s.toml", "--output", tmp_path, "--report"]
    printed = run_here(study, *arguments)
    assert "Of a, b, only what has most runs is reported" in printed
    run_here(study, *arguments, "reconstruction_error")
    assert given == [(lines[1:], "validation_loss"), (lines[1:], "reconstruction_error")]


def test_the_best_settings_have_the_lowest_mean_over_seeds():
    records = [
        {"settings": {"a": a}, "error": error}
        for a, error in ((1, 5.0), (2, 1.0), (1, 3.0), (2, 2.0), (3, 9.0))
    ]
    found = best(records, "error", n=2)
    assert [(e["settings"], e["mean"], e["seeds"]) for e in found] == [
        ({"a": 2}, 1.5, 2),
        ({"a": 1}, 4, 2),
    ]
    assert found[0]["deviation"] == pytest.approx(np.sqrt(0.5))


def test_an_effect_is_a_line_of_the_table():
    entry = {"setting": "lifetime", "value": None, "runs": 3, "mean": 1.25, "reference": False}
    entry |= {"difference": -0.5, "standard_error": None, "in_seed_spreads": 2.0}
    assert [*cells(entry).values()] == ["lifetime", "off", 3, "1.250", "-0.500", "–", "+2.0"]
    assert cells(entry | {"reference": True})["difference"] == "reference"
