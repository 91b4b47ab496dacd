"""What the command of Table 3 makes of small NORB's pairs, on solids drawn for the test."""

from types import SimpleNamespace

import numpy as np
import pytest
import reproduce_norb as script
from tables.rows import Row, prepared
from tables.run import run_table

from minisca import LogisticRegression
from minisca.baselines import TriangleKMeans
from minisca.datasets import StereoDataset
from tests.support.experiments import command
from tests.support.norb_files import INSTANCES, draw

PARTS = ("images", "labels", "info")


def stereo(n_train, size=12):
    halves = {"train": draw("train", n_train, size), "test": draw("test", 10, size)}
    arrays = {
        f"{half}_{part}": array
        for half, found in halves.items()
        for part, array in zip(PARTS, found, strict=True)
    }
    return StereoDataset(**arrays, name="solids", source="here")


def test_a_view_is_its_inner_64_pixels_halved():
    data = stereo(20, size=96)
    found = script.arranged(data, quick=False).test_images
    inner = data.test_images[:, :, 16:80, 16:80].reshape(10, 2, 32, 2, 32, 2)
    expected = inner.sum(axis=(3, 5), dtype=np.int64) / 4 / 255
    assert found.shape == (10, 2, 32, 32)
    # The sum of four is exact; dividing by 255 rounds once to float32, and so does the halving.
    np.testing.assert_allclose(found, expected, rtol=2 * np.finfo(np.float32).eps, atol=0)


def test_the_validation_set_is_a_toy_of_each_category_that_the_rest_has_not_seen():
    data = script.arranged(stereo(60), quick=False)
    images = script.pairs_as_images(data)
    instances, n = data.train_info[:, 0], images.n_fit
    assert set(instances[n:]) == {max(INSTANCES["train"])}
    assert set(instances[:n]) == set(INSTANCES["train"]) - {max(INSTANCES["train"])}
    assert set(images.train_labels[n:]) == set(range(5))


@pytest.mark.parametrize("quick", [False, True])
def test_arranging_keeps_pairs_labels_and_infos_together(monkeypatch, quick):
    """A quick run takes pairs of every toy, and says so."""
    monkeypatch.setattr(script, "QUICK_IMAGES", (30, 5))
    data = stereo(60)
    found = script.arranged(data, quick)
    n = 30 if quick else 60
    assert found.name == ("solids, 30 training and 5 test pairs" if quick else "solids")

    def rows(data):
        arrays = (getattr(data, f"train_{part}") for part in PARTS)
        return {(label, *info): pair for pair, label, info in zip(*arrays, strict=True)}

    pairs, arranged = rows(data), rows(found)
    assert (len(pairs), len(arranged)) == (60, n), "drawn twice: give another seed"
    for key, pair in arranged.items():
        np.testing.assert_array_equal(pair, script.inner_half(pairs[key][None])[0])
    assert set(found.train_info[:, 0]) == set(INSTANCES["train"])
    assert found.train_info[-1, 0] == max(INSTANCES["train"])


@pytest.mark.parametrize("whitened", [False, True])
def test_k_means_learns_from_the_images_as_they_are_and_both_views_are_classified(
    tmp_path, whitened
):
    """The recorded error, computed again from the files that the row left."""
    images = script.pairs_as_images(script.arranged(stereo(100, size=24), quick=False))
    options = {"n_maps": 6, "patch_width": 3, "grid": 2}
    row = Row(layers=(options,), classifier=LogisticRegression(max_iter=5), k_means=True)
    rows = prepared({"k-means": row}, SimpleNamespace(rows=["k-means"], whitened=whitened))
    (record,) = run_table(script.TABLE, rows, images, command(tmp_path)).records
    means = TriangleKMeans.load(tmp_path / "layers" / "k-means-6-seed0.npz")
    assert record["settings"]["layers"] == [means.get_params()]
    assert record["row"] == "norb-k-means"
    again = TriangleKMeans(**options, random_state=0).fit(images.train)
    np.testing.assert_array_equal(again.centres_, means.centres_)
    classifier = LogisticRegression.load(tmp_path / "classifiers" / "k-means-seed0.npz")
    both = np.hstack([means.transform(images.test[view::2]).reshape(10, -1) for view in (0, 1)])
    error = 1 - classifier.score(both, images.test_labels)
    assert round(100 * error, 4) == record["test_error_percent"]
