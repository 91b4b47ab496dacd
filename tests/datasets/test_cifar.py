"""CIFAR-10 is read record by record or refused, and no other images pass for it."""

import hashlib
import os

import numpy as np
import pytest

from minisca.datasets import DatasetError, DatasetNotFoundError, cifar, load_cifar10
from tests.support.cifar_files import FOLDER, NAMES, noise, put, put_archive

HALVES = {"train": NAMES[:5], "test": NAMES[5:]}


@pytest.fixture
def packed(monkeypatch, tmp_path):
    """The directory of an archive that is CIFAR-10's for this test."""
    directory = put_archive(tmp_path / "packed", noise())
    checksum = hashlib.md5((directory / cifar.ARCHIVE).read_bytes()).hexdigest()
    monkeypatch.setattr(cifar, "MD5", checksum)
    return directory


def check(data, batches):
    """The data set holds the batches' images and labels, in the files' order."""
    for half, names in HALVES.items():
        labels, images = map(np.concatenate, zip(*map(batches.get, names), strict=True))
        images = images.astype(np.float32) / np.float32(255)
        for found, expected in (("images", images), ("labels", labels)):
            np.testing.assert_array_equal(getattr(data, f"{half}_{found}"), expected, strict=True)


def refuses(directory, *words, kind=DatasetError):
    with pytest.raises(kind) as error:
        load_cifar10(directory)
    for word in words:
        assert str(word) in str(error.value)


def test_what_torchvision_keeps_is_refused_by_name(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").touch()
    refuses(tmp_path, "cifar-10-batches-py is pickled and not read", kind=DatasetNotFoundError)


@pytest.mark.parametrize("folder", [".", FOLDER])
def test_records_become_images_of_three_planes_and_labels(tmp_path, folder):
    directory = put(tmp_path / "images" / folder, noise())
    data = load_cifar10(tmp_path / "images")
    assert data.train_images.shape == (20, 3, 32, 32)
    check(data, noise())
    assert data.source == str(directory.resolve())


def test_a_record_is_a_label_and_the_red_green_and_blue_planes_row_by_row(tmp_path):
    batches = put(tmp_path, noise())
    record = bytearray(3073)
    record[0], record[1], record[1 + 1024 + 33], record[-1] = 7, 255, 51, 102
    (batches / NAMES[5]).write_bytes(record)
    data = load_cifar10(tmp_path)
    assert data.test_labels.tolist() == [7]
    image = data.test_images[0]
    assert {tuple(place): image[tuple(place)].round(6) for place in np.argwhere(image)} == {
        (0, 0, 0): 1.0,
        (1, 1, 1): np.float32(0.2),
        (2, 31, 31): np.float32(0.4),
    }


def test_files_may_hold_different_numbers_of_records(tmp_path):
    batches = {name: noise(n, seed=n)[name] for n, name in enumerate(NAMES, start=1)}
    check(load_cifar10(put(tmp_path, batches)), batches)


def test_the_archive_is_read_without_being_unpacked(packed):
    data = load_cifar10(packed)
    check(data, noise())
    assert data.name == "CIFAR-10"
    assert os.listdir(packed) == [cifar.ARCHIVE]


@pytest.mark.parametrize("name", NAMES)
def test_pixels_sums_make_it_cifar_10_and_one_grey_level_more_not(tmp_path, monkeypatch, name):
    batches = noise()
    sums = {}
    for half, names in HALVES.items():
        images = np.concatenate([batches[name][1] for name in names])
        sums[half] = tuple(images.sum(axis=(0, 2, 3)).tolist())
    monkeypatch.setattr(cifar, "PIXEL_SUMS", sums)
    assert load_cifar10(put(tmp_path / "original", batches)).name == "CIFAR-10"
    images = batches[name][1]
    images[0, 1, 2, 3] += 1 if images[0, 1, 2, 3] < 255 else -1
    assert load_cifar10(put(tmp_path / "other", batches)).name == "other"


def test_the_sums_are_those_of_the_published_means():
    """The means are known to the last digit: times the number of pixels, they are whole numbers."""
    train = np.array([125.306918046875, 122.950394140625, 113.86538318359375]) * 50_000 * 1024
    test = np.array([126.02464140625, 123.70850419921875, 114.85431865234375]) * 10_000 * 1024
    assert {"train": tuple(train), "test": tuple(test)} == cifar.PIXEL_SUMS


@pytest.mark.parametrize("name", ["CIFAR-10", "cifar10"])
def test_a_directory_named_cifar_10_does_not_make_it_cifar_10(tmp_path, name):
    assert load_cifar10(put(tmp_path / name, noise())).name == f"{name} (not the original files)"


def test_the_pickled_version_is_not_understood(tmp_path):
    for name in NAMES:
        (tmp_path / name.removesuffix(".bin")).write_bytes(b"\x80\x02}q\x01.")
    refuses(tmp_path, "missing are data_batch_1.bin", kind=DatasetNotFoundError)


@pytest.mark.parametrize("damage", [lambda body: body[:-1], lambda body: body[:-9] + b"x" * 9])
def test_a_damaged_archive_is_an_error_wherever_it_lies(packed, damage):
    path = packed / cifar.ARCHIVE
    path.write_bytes(damage(path.read_bytes()))
    refuses(packed, path, "has MD5", "delete it to download it again")


@pytest.mark.parametrize("name", [NAMES[0], NAMES[5]])
@pytest.mark.parametrize(
    ("length", "words"),
    [
        (-1, ("3 records and 3072 bytes", "whole records of 3073 bytes")),
        (-3072, ("3 records and 1 bytes",)),
        (1, ("4 records and 1 bytes",)),
        (None, ("has 0 bytes", "one or more whole records")),
    ],
)
def test_a_file_of_no_whole_records_is_refused(tmp_path, name, length, words):
    path = put(tmp_path, noise()) / name
    whole = path.read_bytes()
    path.write_bytes(b"" if length is None else (whole + b"\0" if length > 0 else whole[:length]))
    refuses(tmp_path, path, *words)


def test_more_records_than_a_batch_can_have_are_refused_before_they_are_read(tmp_path):
    path = put(tmp_path, noise()) / NAMES[1]
    with open(path, "wb") as file:
        file.truncate(3073 * 10**9)  # a sparse file: reading it would fill the memory
    refuses(tmp_path, path, "has 1000000000 records; it must have 10000 at most")


@pytest.mark.parametrize("label", [10, 255])
def test_a_label_out_of_range_is_refused(tmp_path, label):
    batches = noise()
    labels, _ = batches[NAMES[3]]
    labels[2] = label
    path = put(tmp_path, batches) / NAMES[3]
    refuses(tmp_path, path, f"the label {label} in record 2; labels must be from 0 to 9")


def test_an_empty_directory_is_told_of_the_archive_too(tmp_path):
    words = [cifar.ARCHIVE, f"folder {FOLDER}", ", ".join(NAMES)]
    refuses(tmp_path, *words, kind=DatasetNotFoundError)


def test_the_checksum_is_that_of_the_published_archive():
    assert cifar.MD5 == "c32a1d4ab5d03f1284b67883e8d87530"
