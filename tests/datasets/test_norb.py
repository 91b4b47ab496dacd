"""Small NORB is read pair by pair or refused, and nothing else passes for it."""

import numpy as np
import pytest

from minisca.datasets import DatasetError, load_norb, norb
from tests.support.norb_files import HALVES, INSTANCES, checksums, noise, put, put_solids


def refuses(directory, *words):
    with pytest.raises(DatasetError) as error:
        load_norb(directory)
    for word in words:
        assert str(word) in str(error.value)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", [".", "smallnorb"])
def test_loads_the_six_files(tmp_path, ending, folder):
    halves = noise()
    directory = put(tmp_path / "toys" / folder, halves, ending)
    data = load_norb(tmp_path / "toys")
    for half, (pairs, labels, infos) in halves.items():
        expected = {"images": pairs, "labels": labels.astype(np.int64), "info": infos}
        for what, array in expected.items():
            np.testing.assert_array_equal(getattr(data, f"{half}_{what}"), array, strict=True)
    assert data.source == str(directory.resolve())


def test_the_generated_solids_load_as_pairs_of_96_pixels_seen_by_two_cameras(tmp_path):
    data = load_norb(put_solids(tmp_path / "solids", n_train=10, n_test=5))
    assert data.train_images.shape == (10, 2, 96, 96)
    assert data.test_images.shape == (5, 2, 96, 96)
    assert set(data.train_info[:, 0]) <= set(INSTANCES["train"])
    assert not np.array_equal(data.train_images[:, 0], data.train_images[:, 1])


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("which", range(3))
def test_its_gzipped_files_are_small_norb_unless_one_is_another(tmp_path, monkeypatch, half, which):
    directory = put(tmp_path / "mixed", noise(), ".gz")
    monkeypatch.setattr(norb, "SHA256", checksums(directory))
    assert load_norb(directory).name == "small NORB"
    arrays = list(noise()[half])
    arrays[which] = noise(seed=1)[half][which]
    put(directory, {half: arrays}, ".gz")
    assert load_norb(directory).name == "mixed"


def test_unpacked_files_do_not_pass_for_small_norb(tmp_path):
    name = load_norb(put(tmp_path / "smallnorb", noise())).name
    assert name == "smallnorb (not the original files, or unpacked)"


def altered(tmp_path, half, which, change):
    """The file of one array, changed by a function or a number at a place, of a small set."""
    halves = noise()
    arrays = list(halves[half])
    if callable(change):
        arrays[which] = change(arrays[which])
    else:
        place, value = change
        arrays[which][place] = value
    kind = ("dat", "cat", "info")[which]
    return put(tmp_path, halves | {half: arrays}) / norb.FILES[f"{half}_{kind}"]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_truncated_and_an_oversized_file_are_refused(tmp_path, half, which):
    path = altered(tmp_path, half, which, lambda array: array)
    whole = path.read_bytes()
    for contents in (whole[:-1], whole + b"\0"):
        path.write_bytes(contents)
        refuses(tmp_path, path, "exactly as many")


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        (0, lambda pairs: pairs[:, 0], "stereo pairs must be uint8 of shape (n, 2, height, width)"),
        (0, lambda pairs: pairs[:, [0, 1, 1]], "stereo pairs must be"),
        (0, lambda pairs: pairs.astype(np.int32), "holds int32 of shape (7, 2, 4, 5)"),
        (1, lambda labels: labels[:, None], "labels must be int32 of shape (n,)"),
        (1, lambda labels: labels.astype(np.uint8), "holds uint8 of shape (7,)"),
        (2, lambda infos: infos[:, :3], "infos must be int32 of shape (n, 4)"),
        (2, lambda infos: infos.astype(np.int16), "holds int16 of shape (7, 4)"),
        (1, lambda labels: labels[:-1], "has 7 pairs but"),
        (2, lambda infos: infos[:-1], "has 6 infos; there must be one a pair"),
        (1, (3, -1), "the label -1 for pair 3; it must be from 0 to 4"),
        (1, (3, 5), "the label 5 for pair 3; it must be from 0 to 4"),
        (2, ((6, 0), 10), "the instance 10 for pair 6; it must be from 0 to 9"),
        (2, ((6, 1), 9), "the elevation 9 for pair 6; it must be from 0 to 8"),
        (2, ((6, 2), 36), "the azimuth 36 for pair 6; it must be from 0 to 34"),
        (2, ((6, 3), -1), "the lighting -1 for pair 6; it must be from 0 to 5"),
    ],
)
@pytest.mark.parametrize("half", HALVES)
def test_arrays_that_do_not_fit_are_refused(tmp_path, half, which, change, message):
    refuses(tmp_path, altered(tmp_path, half, which, change), message)


def test_both_halves_must_have_images_of_one_size(tmp_path):
    halves = noise() | {"test": noise(size=5)["test"]}
    refuses(put(tmp_path, halves), "images of 5x6 pixels; they must be 4x5, as in")
