"""Fashion-MNIST: found where it may lie, known by its contents, never taken for MNIST."""

import numpy as np
import pytest

from minisca.datasets import (
    DatasetError,
    DatasetNotFoundError,
    fashion_mnist,
    load_fashion_mnist,
    load_mnist,
    mnist,
    write_idx,
)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    made = {}
    for half, n in (("train", 6), ("test", 3)):
        made[f"{half}_images"] = rng.integers(0, 256, (n, 5, 4), dtype=np.uint8)
        made[f"{half}_labels"] = rng.integers(0, 10, n, dtype=np.uint8)
    return made


@pytest.fixture
def put(arrays):
    def write(directory):
        for role, name in mnist.FILES.items():
            write_idx(directory / f"{name}.gz", arrays[role])
        return directory

    return write


@pytest.fixture
def pretend(monkeypatch, arrays):
    """Make the checksums of these arrays those of a data set."""

    def set_checksums(name):
        checksums = {role: mnist._sha256(array) for role, array in arrays.items()}
        monkeypatch.setattr(mnist, name, checksums)

    return set_checksums


@pytest.mark.parametrize("folder", [".", "fashion-mnist"])
def test_it_is_read_from_the_directory_or_its_folder(tmp_path, put, arrays, folder):
    put(tmp_path / folder)
    data = load_fashion_mnist(tmp_path)
    np.testing.assert_array_equal(data.train_labels, arrays["train_labels"])
    assert data.test_images.shape == (3, 1, 5, 4)


def test_the_environment_comes_before_the_package_and_mnist_beside_it_is_passed_over(
    tmp_path, put, monkeypatch
):
    put(tmp_path / "data")  # what lies there is MNIST's, by the same names
    put(tmp_path / "package")
    monkeypatch.setattr(fashion_mnist, "PACKAGE", str(tmp_path / "package"))
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path / "data"))
    assert load_fashion_mnist().source == str((tmp_path / "package").resolve())
    here = put(tmp_path / "data" / "fashion-mnist")
    assert load_fashion_mnist().source == str(here.resolve())


def test_it_is_known_by_its_contents_whichever_loader_reads_it(tmp_path, put, pretend):
    assert load_mnist(put(tmp_path / "fashion-mnist")).name != "Fashion-MNIST"
    pretend("FASHION_SHA256")
    assert load_fashion_mnist(tmp_path).name == "Fashion-MNIST"
    assert load_mnist(tmp_path / "fashion-mnist").name == "Fashion-MNIST"


def test_mnist_is_refused(tmp_path, put, pretend):
    pretend("SHA256")
    with pytest.raises(DatasetError, match=r"holds MNIST; it must hold Fashion-MNIST"):
        load_fashion_mnist(put(tmp_path))


def test_without_files_every_place_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "PACKAGE", str(tmp_path / "package"))
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path))
    with pytest.raises(DatasetNotFoundError, match=r"none of .*fashion-mnist, .*package"):
        load_fashion_mnist()
    with pytest.raises(DatasetNotFoundError, match=r"data_dir is .*missing are train-images"):
        load_fashion_mnist(tmp_path)
