"""Table 2's command on raw images: names of its own, features in files, an interrupted run."""

import os

import numpy as np
import pytest
import reproduce_cifar10
from features import files
from tables import run

from minisca import SparseConvAutoencoder
from tests.support.cifar_files import put_bars
from tests.support.script_runs import read_records, run_here


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """A directory of 100 training and 20 test images in four classes."""
    return put_bars(tmp_path_factory.mktemp("data") / "bars")


def run_raw(bars, output, row, *arguments):
    options = ["--quick", "--raw", "--epochs", "1", "--data-dir", bars, "--output", output]
    return run_here(reproduce_cifar10, *options, "--rows", row, *arguments)


def test_raw_images_have_names_of_their_own_and_what_was_trained_outlives_an_interruption(
    bars, tmp_path, monkeypatch
):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_raw(bars, tmp_path, "512")
    (path,) = (tmp_path / "layers").iterdir()
    assert path.name == "64-width9-seed0-raw.npz"
    before = path.read_bytes()
    assert not (tmp_path / "features").exists()
    assert not (tmp_path / "results.json").exists()
    printed = run_raw(bars, tmp_path, "512", "--resume")
    assert list((tmp_path / "layers").iterdir()) == [path]
    assert path.read_bytes() == before
    (record,) = read_records(tmp_path)
    assert (record["row"], record["data"]) == ("cifar-512-raw", "bars")
    assert record["settings"]["zca_epsilon"] is None
    assert (tmp_path / "pictures" / "512-raw-decoder-filters.png").exists()
    assert "cifar-512-raw  0" in printed


def test_filters_that_are_never_trained_stay_so_and_have_all_pictures_but_a_loss(bars, tmp_path):
    run_raw(bars, tmp_path, "512-random")
    (path,) = (tmp_path / "layers").iterdir()
    assert path.name == "64-width9-seed0-untrained-raw.npz"
    assert SparseConvAutoencoder.load(path).n_epochs_done_ == 0
    drawn = {path.stem.removeprefix("512-random-raw-") for path in tmp_path.glob("pictures/*.png")}
    assert {"decoder-filters", "figure3", "confusion", "misclassified"} <= drawn
    assert "loss" not in drawn


def test_features_too_large_for_memory_go_through_files_to_the_same_end(
    bars, tmp_path, monkeypatch
):
    run_raw(bars, tmp_path / "memory", "deep")
    monkeypatch.setattr(files, "FLOAT32_BYTES", 0)
    encode, shapes = files.FeatureFiles.encode, []

    def counted(*arguments):
        features = encode(*arguments)
        shapes.append(features.shape)
        return features

    monkeypatch.setattr(files.FeatureFiles, "encode", counted)
    run_raw(bars, tmp_path / "disk", "deep")
    assert shapes == [(100, 64, 8, 8), (100, 64, 4, 4), (20, 64, 8, 8), (20, 64, 4, 4)]
    left = [sorted(os.listdir(tmp_path / place)) for place in ("memory", "disk")]
    assert left[0] == left[1]
    first, second = (read_records(tmp_path / place)[0] for place in ("memory", "disk"))
    assert first["losses"][0] == second["losses"][0]
    # Float16 rounds the second layer's images by up to 2^-11, and the loss is quadratic in them.
    np.testing.assert_allclose(second["losses"][1], first["losses"][1], rtol=0.01)
