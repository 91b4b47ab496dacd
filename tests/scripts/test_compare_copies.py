"""compare_copies.py: the same images twice, the same labels for both, an error that is honest."""

import json
import lzma

import compare_copies as script
import numpy as np
import pytest

from minisca.datasets import load_cifar10
from tests.support import cifar_files
from tests.support.script_runs import refusal, run_here


@pytest.fixture
def folders(tmp_path):
    """Copies of 120 images, and 60 of these without loss, in another order."""
    data = cifar_files.put_bars(tmp_path / "data", 20)
    rows = np.random.default_rng(0).permutation(120)[:60]
    put_lossless(tmp_path / "lossless", load_cifar10(data, download=False), rows)
    return data, tmp_path / "lossless", rows


def put_lossless(directory, copies, rows, labels=None):
    images = np.concatenate([copies.train_images, copies.test_images])[rows]
    known = np.concatenate([copies.train_labels, copies.test_labels])[rows]
    pixels = np.minimum(np.rint(images * 255) + 1, 255).astype(np.uint8)  # what a copy has lost
    records = cifar_files.contents(known if labels is None else labels, pixels)
    directory.mkdir(exist_ok=True)
    (directory / "lossless.bin.xz").write_bytes(lzma.compress(records))
    (directory / "index.txt").write_text("\n".join(map(str, rows)) + "\n")


def test_every_image_is_beside_its_copy(folders):
    data, lossless, rows = folders
    copies = load_cifar10(data, download=False)
    found, theirs, labels = script.read_pairs(lossless, copies)
    assert found.dtype == theirs.dtype == np.float32
    assert np.abs(found - theirs).max() <= 1.001 / 255
    np.testing.assert_array_equal(labels[rows < 100], copies.train_labels[rows[rows < 100]])
    np.testing.assert_array_equal(theirs[rows >= 100], copies.test_images[rows[rows >= 100] - 100])


def test_a_run_is_recorded_and_not_measured_again(folders, tmp_path):
    data, lossless, _ = folders
    options = ["--quick", "--lossless", lossless, "--data-dir", data, "--output", tmp_path / "out"]
    options += ["--backend", "cpu", "--label", "bars"]
    printed = run_here(script, *options)
    (record,) = json.loads((tmp_path / "out" / "copies.json").read_text())
    one, other = (record["accuracies_percent"][version] for version in ("lossless", "copies"))
    assert len(one) == len(other) == 2
    assert record["difference"] == pytest.approx(np.mean(np.subtract(one, other)))
    assert f"{record['difference']:.2f} ± {record['standard_error']:.2f}" in printed
    assert record["data"] == "bars"
    before = (tmp_path / "out" / "copies.json").read_bytes()
    run_here(script, *options, "--resume")
    assert (tmp_path / "out" / "copies.json").read_bytes() == before


def test_splits_are_drawn_anew_and_judge_by_images_that_were_not_learned_from():
    splits = script.draw_splits(40, 5, seed=1)
    for fit, judged in splits:
        assert len(fit) == 30
        assert sorted([*fit, *judged]) == list(range(40))
    assert len({tuple(fit) for fit, _ in splits}) == 5
    assert not np.array_equal(splits[0][0], script.draw_splits(40, 1, seed=2)[0][0])


def test_the_error_allows_for_splits_that_share_images():
    """Of 300 problems without a true difference, the error is about as large as what is found."""
    random, found = np.random.default_rng(0), []
    for _ in range(300):
        gain = random.normal(size=200)  # of each image
        splits = script.draw_splits(200, 10, int(random.integers(1 << 30)))
        means = [gain[judged].mean() for _, judged in splits]
        found.append(script.difference(means, np.zeros(10), 150, 50))
    means, errors = np.array(found).T
    assert 0.8 < np.mean(errors) / means.std() < 3  # never much too small
    assert script.difference([3, 5], [1, 1], 30, 10) == pytest.approx(
        (3, np.sqrt(0.5 + 1 / 3) * np.sqrt(2))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "lossless.bin.xz").write_bytes(b"PK"), "cannot be read"),
        (lambda folder: (folder / "index.txt").unlink(), "cannot be read: .*No such file"),
        (
            lambda folder: (folder / "index.txt").write_text("1\n2\n"),
            "for each of the 2 lines",
        ),
        (lambda folder: (folder / "index.txt").write_text("1\n" * 59 + "120"), "beyond the 120"),
        (lambda folder: (folder / "index.txt").write_text("1\n" * 59 + "-1"), "beyond the 120"),
        (lambda folder: (folder / "index.txt").write_text("one\n" * 60), "cannot be read"),
    ],
    ids=["no xz", "no index", "fewer lines", "a number too large", "a negative one", "words"],
)
def test_files_that_do_not_fit_are_refused_by_name(folders, change, message):
    data, lossless, _ = folders
    change(lossless)
    with pytest.raises(script.FileError, match=message):
        script.read_pairs(lossless, load_cifar10(data, download=False))


def test_other_labels_than_the_copies_are_refused(folders):
    data, lossless, rows = folders
    copies = load_cifar10(data, download=False)
    put_lossless(lossless, copies, rows, labels=np.zeros(60))
    with pytest.raises(script.FileError, match="has other labels than the copies"):
        script.read_pairs(lossless, copies)


def test_a_wrong_flag_is_named():
    message = refusal(script, "--lossless", "x", "--splits", "0")
    assert "--splits is 0; it must be at least 1" in message
