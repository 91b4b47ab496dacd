"""compare_encodings.py on a small data set: every encoding meets every pooling."""

import json

import compare_encodings as script
import numpy as np
import pytest

import minisca
from minisca.backends import get_backend
from minisca.baselines import TriangleKMeans
from minisca.baselines.triangle import triangle
from tests.support import cifar_files
from tests.support.script_runs import refusal, run_script

SCRIPT = "compare_encodings.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return cifar_files.put_bars(tmp_path_factory.mktemp("data") / "cifar-10-batches-bin", 20)


def test_every_encoding_is_scored_with_every_pooling(data, tmp_path):
    arguments = ["--quick", "--data-dir", data, "--label", "bars", "--output", tmp_path]
    done = run_script(SCRIPT, *arguments)
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / "encodings.json").read_text())
    assert [record["row"] for record in records] == [
        f"encoding-{encoding}-{pooling}-4"
        for encoding in (
            *("winner-take-all", "winner-take-all-local"),
            *("k-means-whole-images", "k-means"),
        )
        for pooling in ("quadrants", "maximum")
    ]
    for record in records:
        assert record["data"] == "bars"
        assert record["settings"]["train_images"] == 80
        assert f"{record['validation_accuracy_percent']:.2f} %" in done.stdout
    assert max(record["validation_accuracy_percent"] for record in records) > 40  # 25: chance


def test_a_wrong_flag_is_named():
    assert "--maps is 0; it must be at least 1" in refusal(script, "--maps", "0")


def test_local_maps_do_not_change_with_the_contrast_of_a_strong_image():
    """Without a bias, what is large beside LOCAL_EPSILON cancels."""
    random = np.random.default_rng(0)
    images = random.normal(size=(6, 3, 9, 9)).astype(np.float32)
    layer = minisca.SparseConvAutoencoder(4, filter_width=3, n_epochs=0, random_state=0).fit(images)
    one, other = (script.feature_maps(script.ENCODINGS[1], layer, c * images) for c in (1e3, 1e4))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    plain = script.feature_maps(script.ENCODINGS[0], layer, images)
    np.testing.assert_array_equal(plain, layer.feature_maps(images))


def test_pooling_by_quadrants_sums_and_by_maximum_is_the_layers_own():
    maps = np.random.default_rng(1).random((2, 3, 27, 27)).astype(np.float32)
    quadrants = script.pooled("quadrants", maps)
    np.testing.assert_allclose(quadrants[:, :, 0, 1], maps[:, :, :13, 13:].sum((2, 3)), 1e-5)
    maximum = script.pooled("maximum", maps)
    np.testing.assert_array_equal(maximum, get_backend("cpu").max_pool(maps, 5, 4)[0])


def test_feature_maps_of_k_means_pool_to_its_features():
    images = np.random.default_rng(2).random((30, 3, 10, 10))
    options = {"n_patches": 500, "standardise": False, "random_state": 0, "verbose": False}
    model = TriangleKMeans(5, patch_width=4, **options).fit(images)
    maps = model.feature_maps(images[:4])
    assert maps.shape == (4, 5, 7, 7)
    sums = np.add.reduceat(np.add.reduceat(maps, [0, 3], axis=2), [0, 3], axis=3)
    np.testing.assert_allclose(sums, model.transform(images[:4]), rtol=1e-5)
    patch = images[2, :, 1:5, 3:7].astype(np.float32)[None]
    patch = minisca.preprocessing.contrast_normalise(patch, model.contrast_epsilon)
    expected = triangle(model._whitened(patch), model.centres_.reshape(5, -1))[0]
    np.testing.assert_allclose(maps[2, :, 1, 3], expected, rtol=1e-4, atol=1e-5)
