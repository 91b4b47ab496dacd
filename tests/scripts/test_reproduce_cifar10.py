"""The script of Table 2, run as a user runs it, on images small and few enough for a test."""

import numpy as np
import pytest
import reproduce_cifar10
from common.records import published
from features import files
from tables import run

import minisca
from minisca.preprocessing import ZCA
from tests.support.cifar_files import put_bars
from tests.support.script_runs import (
    check_pictures,
    check_resuming,
    read_records,
    refusal,
    run_here,
    run_script,
)

SCRIPT = "reproduce_cifar10.py"


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """A directory of 100 training and 20 test images in four classes."""
    return put_bars(tmp_path_factory.mktemp("data") / "bars")


@pytest.fixture(scope="module")
def small_run(bars):
    """Both rows of --quick, whitened, with a name for the data."""
    output = bars.parent / "out"
    options = ["--quick", "--data-dir", bars, "--output", output, "--label", "Bars, drawn"]
    return run_script(SCRIPT, *options), output, options


def test_both_rows_leave_records_under_the_label_that_was_given(small_run):
    done, output, _ = small_run
    assert done.returncode == 0, done.stderr
    records = read_records(output)
    assert [record["row"] for record in records] == ["cifar-512", "cifar-deep"]
    for record in records:
        assert record["data"] == "Bars, drawn"
        assert record["settings"]["zca_epsilon"] == 0.1
        assert record["test_accuracy_percent"] == 100 - record["test_error_percent"]
        assert record["validation_accuracy_percent"] == 100 - record["validation_error_percent"]
    # Four classes: 25 by chance. Not of test images: what whitening learned from 100 images says
    # nothing about others, which come out of it larger.
    assert records[0]["validation_accuracy_percent"] >= 70


def test_the_report_has_accuracies_and_the_label_and_nothing_of_the_papers(small_run):
    done, output, _ = small_run
    assert "Data: Bars, drawn (" in done.stdout
    assert "test accuracy" in done.stdout
    assert "compare with nothing published" in done.stdout
    assert "72.7" not in done.stdout
    assert all(record["paper_percent"] is None for record in read_records(output))


def test_whitening_layers_and_classifiers_are_left_to_load(small_run, bars):
    _, output, _ = small_run
    whitener = ZCA.load(output / "layers" / "zca.npz")
    first = minisca.SparseConvAutoencoder.load(output / "layers" / "64-width9-seed0.npz")
    second = minisca.SparseConvAutoencoder.load(output / "layers" / "64-64-width5-seed0.npz")
    assert first.encoder_filters_.shape == (64, 3, 9, 9)
    classifier = minisca.LogisticRegression.load(output / "classifiers" / "deep-seed0.npz")
    data = minisca.datasets.load_cifar10(bars)
    images = whitener.transform(minisca.preprocessing.contrast_normalise(data.test_images))
    error = 1 - classifier.score(second.transform(first.transform(images)), data.test_labels)
    assert round(100 * error, 4) == read_records(output)[1]["test_error_percent"]


def test_every_picture_is_written(small_run):
    _, output, _ = small_run
    check_pictures(output, "512")


def test_resuming_a_finished_run_measures_nothing_again(small_run):
    _, output, options = small_run
    check_resuming(reproduce_cifar10, output, options, rows=2)


def run_raw(*arguments):
    """Run the script with these arguments, images not whitened and one epoch."""
    return run_here(reproduce_cifar10, "--quick", "--raw", "--epochs", "1", *arguments)


def test_raw_images_have_rows_and_files_of_their_own(bars, tmp_path):
    printed = run_raw("--rows", "512", "--data-dir", bars, "--output", tmp_path)
    (record,) = read_records(tmp_path)
    assert record["row"] == "cifar-512-raw"
    assert record["data"] == "bars"
    assert record["settings"]["zca_epsilon"] is None
    assert [path.name for path in (tmp_path / "layers").iterdir()] == ["64-width9-seed0-raw.npz"]
    assert (tmp_path / "pictures" / "512-raw-decoder-filters.png").exists()
    assert "cifar-512-raw  0" in printed


def test_features_too_large_for_memory_go_through_files_to_the_same_end(
    bars, tmp_path, monkeypatch
):
    options = ["--rows", "deep", "--data-dir", bars, "--output"]
    run_raw(*options, tmp_path / "memory")
    monkeypatch.setattr(files, "FLOAT32_BYTES", 0)
    encode, shapes = files.FeatureFiles.encode, []

    def counted(files, layer, images):
        features = encode(files, layer, images)
        shapes.append(features.shape)
        return features

    monkeypatch.setattr(files.FeatureFiles, "encode", counted)
    run_raw(*options, tmp_path / "disk")
    assert shapes == [(100, 64, 8, 8), (100, 64, 4, 4), (20, 64, 8, 8), (20, 64, 4, 4)]
    assert not (tmp_path / "disk" / "features").exists()
    first, second = (read_records(tmp_path / place)[0] for place in ("memory", "disk"))
    assert first["losses"][0] == second["losses"][0]
    # Float16 rounds the second layer's images by up to 2^-11, and the loss is quadratic in them.
    np.testing.assert_allclose(second["losses"][1], first["losses"][1], rtol=0.01)


def test_a_run_interrupted_after_training_goes_on_with_the_layer_that_was_trained(
    bars, tmp_path, monkeypatch
):
    options = ["--rows", "512", "--data-dir", bars, "--output", tmp_path]

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_raw(*options)
    (path,) = (tmp_path / "layers").iterdir()
    before = path.read_bytes()
    assert not (tmp_path / "features").exists()
    assert not (tmp_path / "results.json").exists()
    run_raw(*options, "--resume")
    assert path.read_bytes() == before
    assert len(read_records(tmp_path)) == 1


def test_only_the_original_whitened_is_set_beside_the_paper():
    table = reproduce_cifar10.TABLE
    assert table.comparable("CIFAR-10", quick=False)
    assert not table.comparable("CIFAR-10", quick=True)
    assert not table.comparable("CIFAR-10, JPEG", quick=False)
    assert published("cifar-512") == 72.7
    assert published("cifar-512-raw") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "17"], "invalid choice: '17'"),
        (["--raw", "--whitened"], "not allowed with argument"),
        (["--label", "cifar-10"], "that is the original, which"),
    ],
)
def test_a_wrong_flag_is_named(bars, arguments, message):
    assert message in refusal(reproduce_cifar10, *arguments, "--data-dir", bars)


def test_a_directory_without_the_data_is_named():
    with pytest.raises(minisca.datasets.DatasetNotFoundError, match="nowhere"):
        run_here(reproduce_cifar10, "--data-dir", "nowhere")
