"""The commands of the paper's tables, run as a user runs them, on data small enough for a test."""

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import reproduce_cifar10
import reproduce_mnist
import reproduce_norb

import minisca
from minisca.backends import has_driver
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support import cifar_files, mnist_files, norb_files
from tests.support.layers import Slices, assert_same_state
from tests.support.script_runs import read_records, refusal, run_here, run_script

SCRIPTS = {"mnist": reproduce_mnist, "cifar10": reproduce_cifar10, "norb": reproduce_norb}
#: What each command learns from: four bars, bars in colour, five solids; its options.
DATA = {
    "mnist": lambda directory: mnist_files.put_bars(directory, 100, 40),
    "cifar10": cifar_files.put_bars,
    "norb": lambda directory: norb_files.put_solids(directory, 400, 100, ending=".gz"),
}
OPTIONS = {
    "mnist": ["--rows", "16", "deep", "reconstruction"],
    "cifar10": ["--label", "Bars, drawn"],
    "norb": ["--label", "solids, in NORB's format"],
}


class Run(NamedTuple):
    """A finished run of a command."""

    script: object
    data: Path
    output: Path
    options: list
    done: object

    def load(self, kind, name):
        """What the run left in a folder."""
        folder = "layers" if kind in (ZCA, minisca.SparseConvAutoencoder) else "classifiers"
        return kind.load(self.output / folder / f"{name}.npz")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Makes a command's data once; a function, for pytest would run a parameter's again."""
    return cache(lambda name: DATA[name](tmp_path_factory.mktemp(name) / "data"))


@pytest.fixture(scope="module")
def finished(data):
    """Runs a command once."""

    @cache
    def run(name):
        script, output = SCRIPTS[name], data(name).parent / "out"
        options = [*OPTIONS[name], "--quick", "--data-dir", data(name), "--output", output]
        done = run_script(f"{script.__name__}.py", *options)
        return Run(script, data(name), output, options, done)

    return run


@pytest.fixture(params=SCRIPTS)
def run(request, finished):
    return finished(request.param)


def only(name):
    return pytest.mark.parametrize("run", [name], indirect=True)


def test_every_row_leaves_a_record_that_is_not_set_beside_the_papers(run):
    assert run.done.returncode == 0, run.done.stderr
    records = read_records(run.output)
    table = run.script.TABLE
    names = {"mnist": ["16", "deep", "reconstruction"], "cifar": ["512", "deep"]}
    names = names.get(table.prefix, list(table.rows))
    assert [record["row"] for record in records] == [f"{table.prefix}-{name}" for name in names]
    name = next((value for option, value in pairwise(run.options) if option == "--label"), "data")
    assert {(record["data"], record["paper_percent"]) for record in records} == {(name, None)}
    assert f"Data: {name} (" in run.done.stdout
    assert "compare with nothing published" in run.done.stdout


def test_the_backend_in_use_is_printed_and_recorded(run):
    backend = "cpu" if not has_driver() else run.done.stdout.split()[1]
    assert run.done.stdout.startswith(f"Backend: {backend}\n")
    assert {record["backend"] for record in read_records(run.output)} == {backend}


def test_every_picture_is_written(run):
    both = {"figure3", "loss"}
    first = {"encoder-filters", "decoder-filters", "reconstructions"} | both
    errors = {"confusion", "misclassified"}
    wanted = {next(iter(run.script.ROWS)): first | errors}
    wanted["deep"] = {"projected-filters"} | both | errors
    if run.script is reproduce_norb:
        wanted["k-means"] = {"centres"} | errors
    if run.script is reproduce_mnist:
        wanted["16"] |= {"without-constraint", "with-constraint", "largest-across-maps"}
        wanted["reconstruction"] = first
    names = {f"{row}-{kind}.png" for row, kinds in wanted.items() for kind in kinds}
    assert {path.name for path in (run.output / "pictures").iterdir()} == names


def test_all_of_it_is_on_one_page_that_needs_nothing_beside_itself(run):
    page = (run.output / "report.html").read_text()
    assert f"All of it on one page: {run.output / 'report.html'}" in run.done.stdout
    pictures = list((run.output / "pictures").iterdir())
    assert page.count("data:image/png;base64,") == len(pictures)
    for record in read_records(run.output):
        assert f"<td>{record['row']}</td>" in page
    assert "compare with nothing published" in page
    assert "<dt>layer 2</dt>" in page


def test_resuming_a_finished_run_measures_nothing_again(run):
    path = run.output / "results.json"
    before = path.read_bytes()
    printed = run_here(run.script, *run.options, "--resume")
    assert printed.count("already in") == len(json.loads(before))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mnist", ["--rows", "17"], "invalid choice: '17'"),
        ("mnist", ["--epochs", "0"], "--epochs is 0; it must be at least 1"),
        ("mnist", ["--seeds", "-1"], "--seeds has -1"),
        ("mnist", ["--backend", "abacus"], "invalid choice: 'abacus'"),
        ("mnist", ["--lifetime", "0"], "--lifetime is 0.0; it must be in (0, 1]"),
        ("mnist", ["--l2", "-1"], "--l2 is -1.0; it must be more than 0"),
        ("mnist", ["--rows", "few-labels", "--shifts"], "the row few-labels has no extensions"),
        ("mnist", ["--classifier", "forest"], "invalid choice: 'forest'"),
        ("cifar10", ["--rows", "17"], "invalid choice: '17'"),
        ("cifar10", ["--raw", "--whitened"], "not allowed with argument"),
        ("cifar10", ["--label", "cifar-10"], "that is the original, which"),
        ("norb", ["--rows", "512"], "invalid choice: '512'"),
        ("norb", ["--label", "Small NORB"], "that is the original, which"),
    ],
)
def test_a_wrong_flag_is_named(data, name, arguments, message):
    assert message in refusal(SCRIPTS[name], *arguments, "--data-dir", data(name))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_directory_without_the_data_is_named(name):
    with pytest.raises(minisca.datasets.DatasetNotFoundError, match="nowhere"):
        run_here(SCRIPTS[name], "--data-dir", "nowhere")


# Each data set ----------------------------------------------------------------------------


@only("mnist")
def test_digits_are_learned_and_what_was_learned_is_left_to_load(run):
    records = read_records(run.output)
    assert records[0]["test_error_percent"] <= 10  # four bars are easy
    assert records[2]["reconstruction_error"] > 0
    layer = run.load(minisca.SparseConvAutoencoder, "16-width7-seed0")
    assert layer.encoder_filters_.shape == (16, 1, 7, 7)
    assert run.load(minisca.LinearSVM, "16-seed0").n_features_in_ == 1600


@only("mnist")
def test_the_recorded_errors_are_those_of_what_was_saved(run):
    """Of digits: computed again from the files of the layers and the classifier."""
    plain, _, rebuilt = read_records(run.output)
    data = minisca.datasets.load_mnist(run.data)
    layer = run.load(minisca.SparseConvAutoencoder, "16-width7-seed0")
    train, test = map(layer.transform, (data.train_images, data.test_images))
    error = 1 - run.load(minisca.LinearSVM, "16-seed0").score(test, data.test_labels)
    assert round(100 * error, 4) == plain["test_error_percent"]
    classifier = minisca.LinearSVM(**plain["settings"]["classifier"])
    classifier.fit(train[:80], data.train_labels[:80])
    error = 1 - classifier.score(train[80:], data.train_labels[80:])
    assert round(100 * error, 4) == plain["validation_error_percent"]
    layer = run.load(minisca.SparseConvAutoencoder, "16-width11-seed0")
    errors = np.square(layer.reconstruct(data.test_images) - data.test_images).sum((1, 2, 3))
    assert rebuilt["reconstruction_error"] == pytest.approx(errors.mean(), rel=1e-5)


@only("mnist")
def test_without_matplotlib_a_run_says_so_first_and_ends_without_pictures(run, tmp_path):
    options = ["--rows", "16", "--epochs", "1", "--data-dir", run.data, "--output", tmp_path]
    done = run_script("reproduce_mnist.py", *options, "--quick", without="matplotlib")
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("Backend: ")
    assert second.startswith("No pictures will be drawn: the package matplotlib is missing (pip ")
    assert [record["row"] for record in read_records(tmp_path)] == ["mnist-16"]
    assert not (tmp_path / "pictures").exists()
    assert "<td>mnist-16</td>" in (tmp_path / "report.html").read_text()


@only("mnist")
def test_a_run_interrupted_in_training_resumes_to_the_same_layer(run, tmp_path):
    settings = read_records(run.output)[0]["settings"]["layers"][0]
    images = minisca.datasets.load_mnist(run.data).train_images
    path = tmp_path / "layers" / "16-width7-seed0.npz"
    layer = minisca.SparseConvAutoencoder(**settings)
    with pytest.raises(KeyboardInterrupt):  # one read measures the images, one is the first epoch
        layer.fit(Slices(images, fail_at=3), checkpoint=path)
    assert layer.n_epochs_done_ == 1

    arguments = ["--rows", "16", "--quick", "--data-dir", run.data, "--resume"]
    run_here(reproduce_mnist, *arguments, "--output", tmp_path)
    whole = run.load(minisca.SparseConvAutoencoder, "16-width7-seed0")
    assert_same_state(minisca.SparseConvAutoencoder.load(path), whole)


@only("cifar10")
def test_records_of_colour_images_have_accuracies(run):
    records = read_records(run.output)
    for record in records:
        assert record["settings"]["zca_epsilon"] == 0.1
        assert record["test_accuracy_percent"] == 100 - record["test_error_percent"]
        assert record["validation_accuracy_percent"] == 100 - record["validation_error_percent"]
    # Four classes: 25 by chance. Not of test images: what whitening learned from 100 images says
    # nothing about others, which come out of it larger.
    assert records[0]["validation_accuracy_percent"] >= 70
    assert "test accuracy" in run.done.stdout
    assert "72.7" not in run.done.stdout


@only("cifar10")
def test_whitening_layers_and_classifiers_are_left_to_load(run):
    first, second = (
        run.load(minisca.SparseConvAutoencoder, f"{name}-seed0")
        for name in ("64-width9", "64-64-width5")
    )
    assert first.encoder_filters_.shape == (64, 3, 9, 9)
    data = minisca.datasets.load_cifar10(run.data)
    images = run.load(ZCA, "zca").transform(contrast_normalise(data.test_images))
    features = second.transform(first.transform(images))
    classifier = run.load(minisca.LinearSVM, "deep-seed0")
    error = 1 - classifier.score(features, data.test_labels)
    assert round(100 * error, 4) == read_records(run.output)[1]["test_error_percent"]


@only("norb")
def test_the_classifier_sees_both_views_of_a_pair_and_learns(run):
    """The recorded error, computed again view by view from the files that the run left."""
    records = read_records(run.output)
    for record in records:
        assert record["settings"]["train_images"] == 400
        assert record["test_error_percent"] <= 40  # of five categories: 80 by chance
    whitener = run.load(ZCA, "zca")
    layer = run.load(minisca.SparseConvAutoencoder, "64-width9-seed0")
    classifier = run.load(minisca.LogisticRegression, "128-seed0")
    assert layer.n_channels_ == 1
    assert layer.image_size_ == (32, 32)
    data = minisca.datasets.load_norb(run.data)
    pairs = reproduce_norb.inner_half(data.test_images)
    views = (whitener.transform(contrast_normalise(pairs[:, [n]])) for n in (0, 1))
    both = np.hstack([layer.transform(view).reshape(len(pairs), -1) for view in views])
    error = 1 - classifier.score(both, data.test_labels)
    assert round(100 * error, 4) == records[0]["test_error_percent"]


# What is missing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "backend"),
    [
        ("reproduce_mnist.py", "cupy"),
        ("reproduce_mnist.py", "numba_cuda"),
        ("reproduce_cifar10.py", "cupy"),
        ("reproduce_norb.py", "numba_cuda"),
        ("compare_sparsity.py", "cupy"),
    ],
)
def test_a_backend_that_does_not_run_here_is_refused_with_what_it_takes(script, backend):
    if has_driver():
        pytest.skip("there is a CUDA driver")
    done = run_script(script, "--backend", backend)  # here, CuPy may be emulated
    assert done.returncode == 2
    assert f"--backend is {backend}: the backend '{backend}'" in done.stderr
    package = f"pip install minisca[{backend.replace('_', '-')}]"
    assert package in done.stderr or "found no CUDA device" in done.stderr


def test_without_filelock_nothing_is_trained(tmp_path):
    options = ["--quick", "--output", tmp_path / "out"]
    done = run_script("reproduce_mnist.py", *options, without="filelock")
    assert done.returncode == 1
    assert done.stderr == 'The package filelock is missing: pip install ".[scripts]"\n'
    assert not (tmp_path / "out").exists()
