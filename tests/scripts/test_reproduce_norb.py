"""The script of Table 3, run as a user runs it, on solids drawn for the test."""

import numpy as np
import pytest
import reproduce_norb as script

import minisca
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.norb_files import INSTANCES, draw, put_solids
from tests.support.script_runs import (
    check_pictures,
    check_resuming,
    read_records,
    refusal,
    run_script,
)

SCRIPT = "reproduce_norb.py"


@pytest.fixture(scope="module")
def solids(tmp_path_factory):
    """A directory of 600 training and 200 test pairs in five categories."""
    return put_solids(tmp_path_factory.mktemp("data") / "solids", 600, 200, ending=".gz")


@pytest.fixture(scope="module")
def small_run(solids):
    """Both rows of --quick, whitened."""
    output = solids.parent / "out"
    options = ["--quick", "--data-dir", solids, "--output", output]
    return run_script(SCRIPT, *options), output, options


def test_both_rows_leave_records_and_learn(small_run):
    done, output, _ = small_run
    assert done.returncode == 0, done.stderr
    records = read_records(output)
    assert [record["row"] for record in records] == ["norb-128", "norb-deep"]
    for record in records:
        assert record["data"] == "solids"
        assert record["paper_percent"] is None
        assert record["settings"]["train_images"] == 600
        assert record["test_error_percent"] <= 40  # of five categories: 80 by chance
    assert "compare with nothing published" in done.stdout


def test_the_classifier_sees_both_views_of_a_pair(small_run, solids):
    """The recorded error, computed again pair by pair from the files that the run left."""
    _, output, _ = small_run
    whitener = ZCA.load(output / "layers" / "zca.npz")
    layer = minisca.SparseConvAutoencoder.load(output / "layers" / "64-width9-seed0.npz")
    classifier = minisca.LogisticRegression.load(output / "classifiers" / "128-seed0.npz")
    assert layer.n_channels_ == 1
    assert layer.image_size_ == (32, 32)
    data = minisca.datasets.load_norb(solids)
    wrong = 0
    for pair, label in zip(script.inner_half(data.test_images), data.test_labels, strict=True):
        views = whitener.transform(contrast_normalise(pair[:, None]))
        both = np.concatenate([layer.transform(view[None])[0].ravel() for view in views])
        wrong += classifier.predict(both[None])[0] != label
    found = read_records(output)[0]["test_error_percent"]
    assert round(100 * wrong / len(data.test_labels), 4) == found


def test_every_picture_is_written(small_run):
    _, output, _ = small_run
    check_pictures(output, "128")


def test_resuming_a_finished_run_measures_nothing_again(small_run):
    _, output, options = small_run
    check_resuming(script, output, options, rows=2)


# In this process: what the data become ----------------------------------------------------


def stereo(n_train=20, n_test=10, size=96):
    arrays = {}
    for half, n in (("train", n_train), ("test", n_test)):
        arrays |= zip(
            (f"{half}_images", f"{half}_labels", f"{half}_info"), draw(half, n, size), strict=True
        )
    return minisca.datasets.StereoDataset(**arrays, name="solids", source="here")


def test_a_view_is_its_inner_64_pixels_halved():
    data = stereo()
    found = script.arranged(data, quick=False).test_images
    inner = data.test_images[:, :, 16:80, 16:80].reshape(10, 2, 32, 2, 32, 2)
    expected = inner.sum(axis=(3, 5), dtype=np.int64) / 4 / 255
    assert found.shape == (10, 2, 32, 32)
    # The sum of four is exact; dividing by 255 rounds once to float32, and so does the halving.
    np.testing.assert_allclose(found, expected, rtol=2 * np.finfo(np.float32).eps, atol=0)


def test_the_validation_set_is_a_toy_of_each_category_that_the_rest_has_not_seen():
    data = script.arranged(stereo(n_train=60, size=12), quick=False)
    images = script.pairs_as_images(data)
    instances, n = data.train_info[:, 0], images.n_fit
    assert set(instances[n:]) == {max(INSTANCES["train"])}
    assert set(instances[:n]) == set(INSTANCES["train"]) - {max(INSTANCES["train"])}
    assert set(images.train_labels[n:]) == set(range(5))


def test_arranging_keeps_pairs_labels_and_infos_together():
    data = stereo(n_train=60, size=12)
    found = script.arranged(data, quick=False)
    rows = {
        (int(label), *map(int, info)): script.inner_half(pair[None])[0]
        for pair, label, info in zip(
            data.train_images, data.train_labels, data.train_info, strict=True
        )
    }
    assert len(rows) == 60, "drawn twice: give another seed"
    for pair, label, info in zip(
        found.train_images, found.train_labels, found.train_info, strict=True
    ):
        np.testing.assert_array_equal(pair, rows[(int(label), *map(int, info))])


def test_a_quick_run_takes_pairs_of_every_toy_and_says_so(monkeypatch):
    monkeypatch.setattr(script, "QUICK_IMAGES", (30, 5))
    found = script.arranged(stereo(n_train=60, size=12), quick=True)
    assert found.name == "solids, 30 training and 5 test pairs"
    assert len(found.train_images) == len(found.train_labels) == len(found.train_info) == 30
    assert set(found.train_info[:, 0]) == set(INSTANCES["train"])
    assert found.train_info[-1, 0] == max(INSTANCES["train"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "512"], "invalid choice: '512'"),
        (["--label", "Small NORB"], "that is the original, which"),
    ],
)
def test_a_wrong_flag_is_named(solids, arguments, message):
    assert message in refusal(script, *arguments, "--data-dir", solids)
