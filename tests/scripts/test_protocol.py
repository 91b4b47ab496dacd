"""How the commands of the paper's tables measure: what is learned from, classified and recorded.

Layers, classifiers and the clock are stand-ins that note what they are given.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import reproduce_mnist
from common.records import Results, Stopwatch, published
from tables import run
from tables.rows import EXTENSIONS, Row, extended, planned

import minisca
from tests.support.experiments import (
    ONE,
    TEST,
    TWO,
    Classifier,
    command,
    made_images,
    measured,
    numbered,
    table,
)

TRAIN = list(range(1, 9))
LABELS = [0, 1] * 4


# What is learned from -------------------------------------------------------------------------


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("layers", [ONE, TWO], ids=["one layer", "two"])
def test_no_label_and_no_image_of_validation_is_in_the_classifier_that_is_validated(
    notes, tmp_path, views, layers
):
    """A pair of views has the number of its second image."""
    rows = {"16": Row(layers=layers, classifier=Classifier(notes))}
    measured(rows, command(tmp_path), made_images(views=views))
    train, test = ([views * n for n in TRAIN], [100 + views * n for n in range(1, 5)])
    assert [call for call in notes.calls if call[0] in ("fit", "classify")] == [
        ("fit", train[:6], LABELS[:6]),
        ("classify", train[6:]),
        ("fit", train, LABELS),
        ("classify", test),
    ]


def test_a_classifier_that_stops_early_is_fitted_once_and_validation_images_stop_it(
    notes, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "SoftmaxSGD", Classifier)
    classifier = Classifier(notes)
    measured({"16": Row(layers=ONE, classifier=classifier)}, command(tmp_path))
    assert [call for call in notes.calls if call[0] in ("fit", "classify")] == [
        ("fit", TRAIN[:6], LABELS[:6], TRAIN[6:], LABELS[6:]),
        ("classify", TRAIN[6:]),
        ("classify", TEST),
    ]


@pytest.mark.parametrize("chosen", [{}, {"concatenate": True}], ids=["plain", "concatenated"])
def test_the_test_images_are_read_once_a_row_and_seed_and_no_layer_is_trained_on_them(
    notes, tmp_path, chosen
):
    rows = {name: Row(layers=TWO, classifier=Classifier(notes)) for name in ("16", "128")}
    rows = {name: extended(row, chosen) for name, row in rows.items()}
    measured(rows, command(tmp_path, seeds=[0, 1]))
    read = [given for (given,) in notes.of("encode") if min(given) > 100]
    assert read == [TEST] * 2 * 4  # by both layers, of two rows and two seeds
    trained = [given for _, given, *_ in notes.of("train")]
    assert trained == [TRAIN] * 2 * 2  # the rows share their layers


@pytest.mark.parametrize("measured_before", [[], [0], [0, 1], [1, 2], [2]])
def test_features_are_encoded_once_for_all_classifiers_of_a_row(notes, tmp_path, measured_before):
    rows = [
        Row(layers=TWO, classifier=Classifier(notes), extensions=extensions)
        for extensions in ({}, {"classifier": "logistic"}, {"classifier": "sgd"})
    ]
    if measured_before:
        measured({"16": [rows[index] for index in measured_before]}, command(tmp_path))
        notes.calls.clear()
    found = measured({"16": rows, "128": rows[:1]}, command(tmp_path, resume=True))
    assert {*found} == {("16", 0), ("16-logistic", 0), ("16-sgd", 0), ("128", 0)}
    encoded = [given for (given,) in notes.of("encode")]
    # By both layers, for two rows; what the second row's first layer makes was there already.
    assert encoded == [TRAIN, TRAIN, TEST, TEST, TRAIN, TEST, TEST]
    fitted = [call for call in notes.calls if call[0] == "fit"]
    assert fitted == [("fit", TRAIN[:6], LABELS[:6]), ("fit", TRAIN, LABELS)] * (
        4 - len(measured_before)
    )
    if not measured_before:
        phases = [set(found[row, 0]["seconds"]) for row in ("16", "16-logistic")]
        assert phases[0] - phases[1] <= {"train"}
        assert found["16-logistic", 0]["seconds"]["encode"] == 0


def test_a_row_without_a_classifier_has_the_reconstruction_error_of_test_images(notes, tmp_path):
    data = made_images()._replace(test=numbered(101, 1003))
    rows = {"reconstruction": Row(layers=ONE)}
    (record,) = measured(rows, command(tmp_path), data).values()
    assert notes.of("score") == [[list(range(101, 1101))]]
    assert record["reconstruction_error"] == np.mean(np.arange(101, 1101))
    assert record["test_error_percent"] is record["validation_error_percent"] is None


def test_errors_are_those_of_the_half_that_they_name(notes, tmp_path):
    """One of two validation images is wrong, one of four test images."""
    rows = {"16": Row(layers=ONE, classifier=Classifier(notes, wrong=(8, 102)))}
    results = run.run_table(
        table(rows)._replace(accuracies=True), rows, made_images(), command(tmp_path)
    )
    (record,) = results.records
    assert (record["validation_error_percent"], record["test_error_percent"]) == (50, 25)
    assert (record["validation_accuracy_percent"], record["test_accuracy_percent"]) == (50, 75)


# Seeds and options ----------------------------------------------------------------------------


def test_a_seed_reaches_every_layer_its_file_and_what_is_recorded(notes, tmp_path):
    classifier = Classifier(notes)
    rows = {"16": Row(layers=TWO, classifier=classifier)}
    found = measured(rows, command(tmp_path, seeds=[3, 5]))
    trained = [(layer.random_state, path.name) for layer, _, path, _ in notes.of("train")]
    assert [seed for seed, _ in trained] == [3, 3, 5, 5]
    assert all(f"seed{seed}" in name for seed, name in trained)
    assert len({name for _, name in trained}) == 4
    added = [2 * seed / 16 for seed in (3, 3, 5, 5)]  # by two layers, to what two fits see
    assert [float(features.max()) % 1 for features in classifier.fitted] == added
    for seed in (3, 5):
        record = found["16", seed]
        assert record["losses"] == [[float(seed)]] * 2
        assert {layer["random_state"] for layer in record["settings"]["layers"]} == {seed}


def test_epochs_are_the_first_layers_and_deep_epochs_the_seconds():
    row = Row(layers=({"n_maps": 600}, {"n_maps": 100, "n_epochs": 9}))

    def sizes(**options):
        found = planned(row, 0, 512, command("out", **options)).layers
        return [(layer["n_maps"], layer["n_epochs"]) for layer in found]

    usual = minisca.SparseConvAutoencoder().n_epochs
    assert sizes() == [(600, usual), (100, 9)]
    assert sizes(epochs=3) == [(600, 3), (100, 9)]
    assert sizes(deep_epochs=4) == [(600, usual), (100, 4)]
    assert sizes(quick=True) == [(512, 2), (100, 2)]
    assert sizes(quick=True, deep_epochs=4) == [(512, 2), (100, 4)]


@pytest.mark.parametrize("resume", [True, False])
def test_only_with_resume_a_layer_is_gone_on_with(notes, tmp_path, resume):
    rows = {"16": Row(layers=({"n_maps": 1, "filter_width": 11},), classifier=Classifier(notes))}
    measured(rows, command(tmp_path, resume=resume))
    ((_, _, path, resumed),) = notes.of("train")
    assert path == tmp_path / "layers" / "1-width11-seed0.npz"
    assert resumed == resume


def test_a_row_is_run_again_if_one_of_its_two_records_is_missing(notes, tmp_path):
    rows = {"16": Row(layers=ONE, classifier=Classifier(notes), altered="shifts")}
    measured(rows, command(tmp_path))
    path = tmp_path / "results.json"
    whole = json.loads(path.read_text())
    for left, again in ((whole, 0), (whole[:1], 2), (whole[1:], 2)):
        path.write_text(json.dumps(left))
        notes.calls.clear()
        found = measured(rows, command(tmp_path, resume=True))
        assert len(notes.of("fit")) == again
        assert {row for row, _ in found} == {"16", "16-shifts"}


# Beside the paper's figure --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "quick", "comparable"),
    [("MNIST", False, True), ("MNIST", True, False), ("Fashion-MNIST", False, False)],
)
def test_the_papers_figure_stands_beside_nothing_but_a_whole_run_on_its_data(
    notes, tmp_path, capsys, name, quick, comparable
):
    rows = {"16": Row(layers=ONE, classifier=Classifier(notes), altered="shifts")}
    found = measured(rows, command(tmp_path, quick=quick), made_images(name))
    figure = published("mnist-16") if comparable else None
    assert found["16", 0]["paper_percent"] == figure
    assert found["16-shifts", 0]["paper_percent"] is None
    printed, page = capsys.readouterr().out, (tmp_path / "report.html").read_text()
    for text in (printed, page):
        assert ("compare with nothing published" in text) == (not comparable)
        assert (f"{published('mnist-16'):.2f} %" in text) == comparable


VALUES = {
    **{"classifier": "logistic", "l2": 0.5, "concatenate": True, "lifetime": 0.5},
    **{"encoding_contrast": 0.3, "feature_scaling": "none", "augment": True},
    "pool_origin": "corner",
}


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("name", ["16", "128", "deep"])
def test_a_row_with_an_extension_has_a_name_that_the_paper_has_not(name, extension):
    row = extended(reproduce_mnist.ROWS[name], {extension: VALUES[extension]}, altered="shifts")
    assert row.variant
    for way in row.ways:
        found = run.identity(
            reproduce_mnist.TABLE, name, row, 0, way, made_images(), command("out")
        )
        assert published(found["row"]) is None
        assert found["settings"]["extensions"] == {extension: VALUES[extension]} | (
            {way: 1} if way else {}
        )


def test_raw_images_have_a_row_that_the_paper_has_not():
    row = Row(layers=ONE, preparation="raw")
    assert published(f"cifar-512{row.variant}") is None


# Records --------------------------------------------------------------------------------------


def test_records_of_two_data_sets_live_side_by_side_and_each_page_has_its_own(
    notes, tmp_path, capsys
):
    rows = {"16": Row(layers=ONE, classifier=Classifier(notes, wrong=(101,)))}
    measured(rows, command(tmp_path))
    capsys.readouterr()
    others = {"16": replace(rows["16"], classifier=Classifier(notes))}
    measured(others, command(tmp_path, resume=True), made_images("other"))
    assert len(notes.of("fit")) == 4  # the first data set's record is none of the second
    records = Results(tmp_path, resume=True).records
    assert [(r["data"], r["test_error_percent"]) for r in records] == [("MNIST", 25), ("other", 0)]
    assert "25.00 %" not in capsys.readouterr().out
    assert "25.00 %" not in (tmp_path / "report.html").read_text()


def test_seconds_go_to_the_phase_and_the_row_that_spent_them(notes, tmp_path):
    """By `SECONDS`: of every call of a stand-in."""
    row = Row(layers=ONE, classifier=Classifier(notes))
    rows = {"16": replace(row, altered="shifts"), "128": replace(row, layers=TWO)}
    rows |= {"reconstruction": replace(row, classifier=None)}
    found = measured(rows, command(tmp_path, seeds=[0, 1]))
    classify = 200.02  # two fits, and scores of validation and test images
    shifts = 2 * 8 * 1.01  # eight shifts of both, encoded and scored
    plain = {"train": 1000, "encode": 2, "classify": classify}
    expected = {
        "16": plain,
        "16-shifts": plain | {"shifts": shifts},
        # One layer was there already, and its features of the training images.
        "128": {"train": 1000, "encode": 3, "classify": classify},
        "reconstruction": {"reconstruct": 7},
    }
    assert len(found) == 8
    for (name, _), record in found.items():
        *phases, (last, total) = record["seconds"].items()
        assert dict(phases) == pytest.approx(expected[name])
        assert (last, total) == ("total", pytest.approx(sum(expected[name].values())))


def test_a_stopwatch_adds_up_the_parts_of_a_phase(notes):
    watch = Stopwatch()
    for phase, seconds in (("train", 2), ("encode", 3), ("train", 5)):
        with watch(phase):
            notes.now += seconds
    assert watch.seconds == {"train": 7, "encode": 3}
