"""Extensions of Table 1's rows: records, layers and classifiers of their own beside the plain."""

import json

import numpy as np
import pytest
import reproduce_mnist
from tables import few_labels

import minisca
from minisca import LinearSVM, LogisticRegression, SoftmaxSGD
from tests.support.mnist_files import put_bars
from tests.support.script_runs import read_records, run_here

LIFETIME = "16-width7-seed0-lifetime-0.5.npz"
#: What each row with extensions is recorded with.
ROWS = {
    "16-logistic": {"classifier": "logistic"},
    "16-logistic-shifts": {"classifier": "logistic", "shifts": 1},
    "16-sgd": {"classifier": "sgd"},
    "16-l2-0.01-lifetime-0.5-root": {"l2": 0.01, "lifetime": 0.5, "feature_scaling": "root"},
    "deep-concatenated": {"concatenate": True},
    "16-contrast-0.3": {"encoding_contrast": 0.3},
    "16-corner": {"pool_origin": "corner"},
    "16-augmented": {"augment": True},
    "16-augmented-shifts": {"augment": True, "shifts": 1},
}


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """A directory after plain runs, and runs with extensions on top of them."""
    data = put_bars(tmp_path_factory.mktemp("data"), 100, 40)
    output = tmp_path_factory.mktemp("out")

    def run(*arguments):
        options = ["--quick", "--resume", "--data-dir", data, "--output", output]
        printed = run_here(reproduce_mnist, *options, "--rows", *arguments)
        (output / "printed").write_text(printed)

    run("16", "deep")
    (output / "plain.json").write_bytes((output / "results.json").read_bytes())
    run("16", "--classifier", "logistic", "--shifts")
    run("16", "--classifier", "sgd", "--seeds", "0")
    run("16", "--lifetime", "0.5", "--l2", "0.01", "--feature-scaling", "root")
    run("deep", "--concatenate")
    run("16", "--encoding-contrast", "0.3")
    run("16", "--pool-origin", "corner")
    run("16", "--augment", "--shifts")
    run("few-labels")
    return output


@pytest.fixture
def records(output):
    return {record["row"].removeprefix("mnist-"): record for record in read_records(output)}


def test_extensions_make_rows_of_their_own_beside_the_plain_ones(output, records):
    for plain in json.loads((output / "plain.json").read_text()):
        assert plain in records.values()
        assert "extensions" not in plain["settings"]
    for row, chosen in ROWS.items():
        assert records[row]["settings"]["extensions"] == chosen
        assert records[row]["test_error_percent"] <= 10
        assert records[row]["paper_percent"] is None


def test_only_lifetime_trains_another_layer(output):
    plain = {"16-width7-seed0.npz", "128-width7-seed0.npz", "128-512-width5-seed0.npz"}
    assert {path.name for path in (output / "layers").iterdir()} == {LIFETIME, *plain}
    assert minisca.SparseConvAutoencoder.load(output / "layers" / LIFETIME).lifetime == 0.5


@pytest.mark.parametrize(
    ("option", "plain", "other", "ending"),
    [
        ("encoding_contrast", None, 0.3, "-contrast-0.3"),
        ("pool_origin", "centred", "corner", "-corner"),
    ],
)
def test_other_features_come_from_the_layer_that_is_there(
    output, records, option, plain, other, ending
):
    (options,) = records[f"16{ending}"]["settings"]["layers"]
    assert options[option] == other
    path = output / "layers" / "16-width7-seed0.npz"
    assert getattr(minisca.SparseConvAutoencoder.load(path), option) == plain
    before, after = (
        LinearSVM.load(output / "classifiers" / f"16-seed0{end}.npz") for end in ("", ending)
    )
    assert not np.array_equal(before.coef_, after.coef_)


def test_the_classifier_of_an_extension_is_what_it_says(output):
    def load(name, kind=LinearSVM):
        return kind.load(output / "classifiers" / f"{name}.npz")

    logistic = load("16-seed0-logistic", LogisticRegression)
    assert (logistic.n_features_in_, logistic.l2) == (1600, 3e-4)
    sgd = load("16-seed0-sgd", SoftmaxSGD)
    assert (sgd.n_features_in_, sgd.random_state, len(sgd.loss_history_)) == (1600, 0, 30)
    assert load("16-seed0-l2-0.01-lifetime-0.5-root").l2 == 0.01
    assert load("deep-seed0-concatenated").n_features_in_ == 128 * 100 + 512 * 25
    assert not np.array_equal(load("16-seed0").coef_, load("16-seed0-augmented").coef_)


def test_the_validation_error_of_an_early_stop_is_the_lowest_of_its_epochs(output, records):
    sgd = SoftmaxSGD.load(output / "classifiers" / "16-seed0-sgd.npz")
    lowest = sgd.validation_error_history_.min()
    assert records["16-sgd"]["validation_error_percent"] == pytest.approx(100 * lowest, abs=1e-3)
    assert records["16-sgd"]["settings"]["classifier"] == sgd.get_params() | {
        "drop_after": [10, 20]
    }


def test_few_labels_give_a_curve_for_every_kind_of_features(output, records):
    kinds = (*few_labels.POOLINGS, "triangle-k-means", "pca", "pixels")
    curves = {kind: records[f"few-labels-{kind}"] for kind in kinds}
    sizes = {kind: record["n_features"] for kind, record in curves.items()}
    assert sizes["triangle-k-means"] == sizes["winner-take-all-11-6"] == 128 * 25
    assert sizes["winner-take-all"] == 128 * 49
    for kind, record in curves.items():
        (point,) = record["curve"]  # 20 images a class are too few for 30
        assert point["labels_per_class"] == 10
        assert len(point["test_errors_percent"]) == 2
        assert point["mean_test_error_percent"] == np.mean(point["test_errors_percent"])
        assert kind in (output / "printed").read_text()
    assert (output / "pictures" / "few-labels.png").read_bytes().startswith(b"\x89PNG")
    assert "Test error by labels a class" in (output / "report.html").read_text()
