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
)
from tests.support.mnist_files import checksums, noise, put


@pytest.mark.parametrize("folder", [".", "fashion-mnist", "FashionMNIST/raw", "raw"])
def test_it_is_read_from_the_directory_or_its_folder(tmp_path, folder):
    put(tmp_path / folder, noise(), ".gz")
    data = load_fashion_mnist(tmp_path)
    np.testing.assert_array_equal(data.train_labels, noise()["train_labels"])
    assert data.test_images.shape == (10, 1, 6, 5)


def test_the_environment_comes_before_the_package_and_mnist_beside_it_is_passed_over(
    tmp_path, monkeypatch
):
    put(tmp_path / "data", noise())  # what lies there is MNIST's, by the same names
    put(tmp_path / "package", noise())
    monkeypatch.setattr(fashion_mnist, "PACKAGE", str(tmp_path / "package"))
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path / "data"))
    assert load_fashion_mnist().source == str((tmp_path / "package").resolve())
    here = put(tmp_path / "data" / "fashion-mnist", noise())
    assert load_fashion_mnist().source == str(here.resolve())


def test_it_is_known_by_its_contents_whichever_loader_reads_it(tmp_path, monkeypatch):
    assert load_mnist(put(tmp_path / "fashion-mnist", noise())).name != "Fashion-MNIST"
    monkeypatch.setattr(mnist, "FASHION_SHA256", checksums(noise()))
    assert load_fashion_mnist(tmp_path).name == "Fashion-MNIST"
    assert load_mnist(tmp_path / "fashion-mnist").name == "Fashion-MNIST"


def test_torchvisions_folder_is_found_in_the_environment_beside_mnists(tmp_path, monkeypatch):
    put(tmp_path / "MNIST" / "raw", noise(seed=1))
    here = put(tmp_path / "FashionMNIST" / "raw", noise())
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path))
    data = load_fashion_mnist()
    assert data.source == str(here.resolve())
    assert data.name == "FashionMNIST (not the original files)"


def test_mnist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "SHA256", checksums(noise()))
    with pytest.raises(DatasetError, match=r"holds MNIST; it must hold Fashion-MNIST"):
        load_fashion_mnist(put(tmp_path, noise()))


def test_without_files_every_place_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "PACKAGE", str(tmp_path / "package"))
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path))
    with pytest.raises(DatasetNotFoundError, match=r"none of .*fashion-mnist, .*package"):
        load_fashion_mnist()
    with pytest.raises(DatasetNotFoundError, match=r"data_dir is .*missing are train-images"):
        load_fashion_mnist(tmp_path)
