"""The main script, run as a user runs it, on a data set small enough for a test."""

import json

import numpy as np
import pytest
import reproduce_mnist

import minisca
from minisca.backends import has_driver
from minisca.datasets import write_idx
from tests.support.layers import Slices
from tests.support.script_runs import (
    check_resuming,
    read_records,
    refusal,
    run_here,
    run_script,
)

SCRIPT = "reproduce_mnist.py"


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """The rows 16, deep and reconstruction of --quick on 100 images with bars as classes."""
    directory = tmp_path_factory.mktemp("bars")
    random = np.random.default_rng(0)
    for split, n in (("train", 100), ("t10k", 40)):
        labels = np.arange(n, dtype=np.uint8) % 4
        images = random.integers(0, 40, (n, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            place = 4 + 5 * (label // 2)
            if label % 2:
                image[place : place + 3, 4:24] = 255
            else:
                image[4:24, place : place + 3] = 255
        write_idx(directory / f"{split}-images-idx3-ubyte", images)
        write_idx(directory / f"{split}-labels-idx1-ubyte.gz", labels)
    output = directory / "out"
    rows = ["--rows", "16", "deep", "reconstruction"]
    options = [*rows, "--quick", "--data-dir", directory, "--output", output]
    return run_script(SCRIPT, *options), output, options


def test_every_row_leaves_a_record_with_all_its_fields(small_run):
    done, output, _ = small_run
    assert done.returncode == 0, done.stderr
    records = read_records(output)
    rows = ["mnist-16", "mnist-deep", "mnist-reconstruction"]
    assert [record["row"] for record in records] == rows
    for record in records:
        assert record["data"].startswith("bars")
    assert records[0]["test_error_percent"] <= 10  # four bars are easy
    assert records[2]["reconstruction_error"] > 0


def test_figures_on_other_data_are_not_set_beside_the_papers(small_run):
    done, output, _ = small_run
    assert "compare with nothing published" in done.stdout
    assert all(record["paper_percent"] is None for record in read_records(output))


def test_layers_and_classifiers_are_left_to_load(small_run):
    _, output, _ = small_run
    layer = minisca.SparseConvAutoencoder.load(output / "layers" / "16-width7-seed0.npz")
    assert layer.encoder_filters_.shape == (16, 1, 7, 7)
    classifier = minisca.LinearSVM.load(output / "classifiers" / "16-seed0.npz")
    assert classifier.n_features_in_ == 1600


def test_every_picture_is_written(small_run):
    _, output, _ = small_run
    found = {path.name for path in (output / "pictures").glob("*.png")}
    assert found >= {
        "16-decoder-filters.png",
        "16-encoder-filters.png",
        "16-reconstructions.png",
        "16-figure3.png",
        "16-loss.png",
        "16-confusion.png",
        "16-misclassified.png",
        "deep-figure3.png",
    }


def test_resuming_a_finished_run_measures_nothing_again(small_run):
    _, output, options = small_run
    check_resuming(reproduce_mnist, output, options, rows=3)


def test_all_of_it_is_on_one_page_that_needs_nothing_beside_itself(small_run):
    done, output, _ = small_run
    page = (output / "report.html").read_text()
    assert f"All of it on one page: {output / 'report.html'}" in done.stdout
    assert page.count("data:image/png;base64,") == len(list((output / "pictures").glob("*.png")))
    for record in read_records(output):
        assert f"<td>{record['row']}</td>" in page
    assert "compare with nothing published" in page
    assert "<dt>layer 2</dt>" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "17"], "invalid choice: '17'"),
        (["--epochs", "0"], "--epochs is 0; it must be at least 1"),
        (["--seeds", "-1"], "--seeds has -1"),
        (["--backend", "abacus"], "invalid choice: 'abacus'"),
        (["--lifetime", "0"], "--lifetime is 0.0; it must be in (0, 1]"),
        (["--l2", "-1"], "--l2 is -1.0; it must be more than 0"),
        (["--rows", "few-labels", "--shifts"], "the row few-labels has no extensions"),
        (["--classifier", "forest"], "invalid choice: 'forest'"),
    ],
)
def test_a_wrong_flag_is_named(arguments, message):
    assert message in refusal(reproduce_mnist, *arguments)


def test_a_directory_without_the_data_is_named():
    done = run_script(SCRIPT, "--data-dir", "nowhere")
    assert done.returncode != 0
    assert "nowhere" in done.stderr


@pytest.mark.parametrize(
    "script",
    ["reproduce_mnist.py", "reproduce_cifar10.py", "reproduce_norb.py", "compare_sparsity.py"],
)
@pytest.mark.parametrize("backend", ["cupy", "numba_cuda"])
def test_a_backend_that_does_not_run_here_is_refused_with_what_it_takes(script, backend):
    if has_driver():
        pytest.skip("there is a CUDA driver")
    done = run_script(script, "--backend", backend)
    assert done.returncode == 2
    assert f"--backend is {backend}: the backend '{backend}'" in done.stderr
    package = f"pip install minisca[{backend.replace('_', '-')}]"
    assert package in done.stderr or "found no CUDA device" in done.stderr


def test_without_filelock_nothing_is_trained(tmp_path):
    done = run_script(SCRIPT, "--quick", "--output", tmp_path / "out", without="filelock")
    assert done.returncode == 1
    assert done.stderr == 'The package filelock is missing: pip install ".[scripts]"\n'
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_a_run_says_so_first_and_ends_without_pictures(small_run, tmp_path):
    _, output, _ = small_run
    options = ["--rows", "16", "--epochs", "1", "--data-dir", output.parent, "--output", tmp_path]
    done = run_script(SCRIPT, *options, "--quick", without="matplotlib")
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("Backend: ")
    assert second.startswith("No pictures will be drawn: the package matplotlib is missing (pip ")
    assert [record["row"] for record in read_records(tmp_path)] == ["mnist-16"]
    assert not (tmp_path / "pictures").exists()
    assert "<td>mnist-16</td>" in (tmp_path / "report.html").read_text()


def test_the_backend_in_use_is_printed_and_recorded(small_run):
    done, output, _ = small_run
    backend = "cpu" if not has_driver() else done.stdout.split()[1]
    assert done.stdout.startswith(f"Backend: {backend}\n")
    assert {record["backend"] for record in read_records(output)} == {backend}


def test_a_run_interrupted_in_training_resumes_to_the_same_layer(small_run, tmp_path):
    _, output, _options = small_run
    settings = json.loads((output / "results.json").read_text())[0]["settings"]["layers"][0]
    images = minisca.datasets.load_mnist(output.parent).train_images
    path = tmp_path / "layers" / "16-width7-seed0.npz"
    layer = minisca.SparseConvAutoencoder(**settings)
    with pytest.raises(KeyboardInterrupt):  # one read measures the images, one is the first epoch
        layer.fit(Slices(images, fail_at=2), checkpoint=path)
    assert layer.n_epochs_done_ == 1

    arguments = ["--rows", "16", "--quick", "--data-dir", output.parent, "--resume"]
    run_here(reproduce_mnist, *arguments, "--output", tmp_path)
    resumed = minisca.SparseConvAutoencoder.load(path)
    whole = minisca.SparseConvAutoencoder.load(output / "layers" / path.name)
    assert resumed.loss_history_ == whole.loss_history_
    np.testing.assert_array_equal(resumed.encoder_filters_, whole.encoder_filters_)
    np.testing.assert_array_equal(resumed.decoder_filters_, whole.decoder_filters_)


# Extensions -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extended(small_run):
    """The same directory, after runs with extensions on top of the plain ones."""
    _, output, _ = small_run
    plain = (output / "results.json").read_text()
    layers = {path.name for path in (output / "layers").iterdir()}
    options = ["--quick", "--resume", "--data-dir", output.parent, "--output", output]
    runs = (
        ["--rows", "16", "--classifier", "logistic", "--shifts"],
        ["--rows", "16", "--lifetime", "0.5", "--l2", "0.01", "--feature-scaling", "root"],
        ["--rows", "deep", "--concatenate"],
        ["--rows", "16", "--augment", "--shifts"],
        ["--rows", "few-labels"],
    )
    printed = [run_here(reproduce_mnist, *options, *arguments) for arguments in runs]
    return printed, output, json.loads(plain), layers


def records_by_row(output):
    return {record["row"]: record for record in read_records(output)}


def test_extensions_make_rows_of_their_own_beside_the_plain_ones(extended):
    _, output, plain, _ = extended
    records = records_by_row(output)
    for record in plain:
        assert records[record["row"]] == record
        assert "extensions" not in record["settings"]
    expected = {
        "mnist-16-logistic": {"classifier": "logistic"},
        "mnist-16-logistic-shifts": {"classifier": "logistic", "shifts": 1},
        "mnist-16-l2-0.01-lifetime-0.5-root": {
            "l2": 0.01,
            "lifetime": 0.5,
            "feature_scaling": "root",
        },
        "mnist-deep-concatenated": {"concatenate": True},
        "mnist-16-augmented": {"augment": True},
        "mnist-16-augmented-shifts": {"augment": True, "shifts": 1},
    }
    for row, chosen in expected.items():
        assert records[row]["settings"]["extensions"] == chosen
        assert records[row]["test_error_percent"] <= 10
        assert records[row]["paper_percent"] is None


def test_only_lifetime_trains_another_layer(extended):
    _, output, _, layers = extended
    found = {path.name for path in (output / "layers").iterdir()}
    lifetime = "16-width7-seed0-lifetime-0.5.npz"
    new = {lifetime, "128-width7-seed0.npz"}  # the latter is few-labels's, where deep left none
    assert found - layers <= new
    layer = minisca.SparseConvAutoencoder.load(output / "layers" / lifetime)
    assert layer.lifetime == 0.5


def test_the_classifier_of_an_extension_is_what_it_says(extended):
    _, output, _, _ = extended
    classifiers = output / "classifiers"
    logistic = minisca.LogisticRegression.load(classifiers / "16-seed0-logistic.npz")
    assert logistic.n_features_in_ == 1600
    assert logistic.l2 == 3e-4
    svm = minisca.LinearSVM.load(classifiers / "16-seed0-l2-0.01-lifetime-0.5-root.npz")
    assert svm.l2 == 0.01
    both = minisca.LinearSVM.load(classifiers / "deep-seed0-concatenated.npz")
    assert both.n_features_in_ == 128 * 100 + 512 * 25
    plain, augmented = (
        minisca.LinearSVM.load(classifiers / f"16-seed0{variant}.npz")
        for variant in ("", "-augmented")
    )
    assert not np.array_equal(plain.coef_, augmented.coef_)


def test_few_labels_give_a_curve_for_every_kind_of_features(extended):
    printed, output, _, _ = extended
    records = records_by_row(output)
    kinds = ("winner-take-all", "triangle-k-means", "pca", "pixels")
    curves = {kind: records[f"mnist-few-labels-{kind}"] for kind in kinds}
    assert curves["triangle-k-means"]["n_features"] == curves["winner-take-all"]["n_features"]
    for kind, record in curves.items():
        (point,) = record["curve"]  # 20 images a class are too few for 30
        assert point["labels_per_class"] == 10
        assert len(point["test_errors_percent"]) == 2
        assert point["mean_test_error_percent"] == np.mean(point["test_errors_percent"])
        assert kind in printed[-1]
    assert (output / "pictures" / "few-labels.png").read_bytes().startswith(b"\x89PNG")
    assert "Test error by labels a class" in (output / "report.html").read_text()
