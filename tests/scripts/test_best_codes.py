"""best_codes.py: codes beside the encoder's, on problems small enough to try every position."""

import json
from itertools import product

import best_codes as script
import numpy as np
import pytest
from scipy.optimize import nnls

import minisca
from tests.support.mnist_files import put_bars
from tests.support.script_runs import FIELDS, refusal, run_here


@pytest.fixture
def problem():
    """Atoms of 2 filters of 3 x 3 in images of 5 x 5, and 12 images of noise."""
    random = np.random.default_rng(0)
    filters = random.normal(size=(2, 1, 3, 3))
    return script.every_atom(filters, (5, 5)), random.normal(size=(12, 25))


def least_error(atoms, image):
    """Over every pair of positions."""
    pairs = product(atoms[0], atoms[1])
    return min(nnls(np.transpose(pair), image)[1] for pair in pairs) ** 2


def test_an_atom_is_what_the_decoder_makes_of_one_unit(problem):
    layer = minisca.SparseConvAutoencoder(2, filter_width=3, n_epochs=1, random_state=0)
    images = np.random.default_rng(1).random((20, 1, 5, 5), np.float32)
    layer.fit(images)
    values, positions = layer.winners(images)
    atoms = script.every_atom(layer.decoder_filters_, (5, 5))
    x_hat = script.rebuilt(atoms, positions, values) + layer.decoder_bias_[0]
    np.testing.assert_allclose(x_hat.reshape(images.shape), layer.reconstruct(images), atol=1e-6)


def test_no_amplitudes_do_better_than_the_refitted_ones(problem):
    atoms, images = problem
    random = np.random.default_rng(2)
    positions = random.integers(25, size=(12, 2))
    best = script.refit(atoms, positions, images)
    assert best.min() == 0  # of noise, some units are better silent
    least = script.errors(atoms, positions, best, images)
    for _ in range(200):
        others = np.maximum(best + random.normal(size=best.shape) * 0.1, 0)
        assert (script.errors(atoms, positions, others, images) >= least - 1e-12).all()


def test_the_search_finds_the_best_of_all_codes(problem):
    atoms, images = problem
    positions = np.zeros((12, 2), np.int32)
    found = script.errors(atoms, *script.search(atoms, images, positions, 30), images)
    least = np.array([least_error(atoms, image) for image in images])
    assert (found >= least - 1e-12).all()
    np.testing.assert_allclose(found, least, rtol=1e-9)


def test_more_starts_are_no_worse_and_one_is_no_worse_than_refitting(problem):
    atoms, images = problem
    positions = np.random.default_rng(3).integers(25, size=(12, 2))
    by_starts = [
        script.errors(atoms, *script.search(atoms, images, positions, n), images) for n in (1, 2, 4)
    ]
    refitted = script.refit(atoms, positions, images)
    by_starts.insert(0, script.errors(atoms, positions, refitted, images))
    assert (np.diff(by_starts, axis=0) <= 1e-12).all()
    assert by_starts[1].sum() < 0.9 * by_starts[0].sum()


@pytest.fixture
def layer_file(tmp_path):
    """Of a layer that learned bars, which lie in tmp_path / "data"."""
    data = minisca.datasets.load_mnist(put_bars(tmp_path / "data", 40, 20), download=False)
    layer = minisca.SparseConvAutoencoder(4, n_epochs=2, random_state=3, backend="cpu")
    layer.fit(data.train_images).save(tmp_path / "layer.npz")
    return tmp_path / "layer.npz"


def test_the_command_records_three_errors_each_no_larger_than_the_one_before(layer_file, tmp_path):
    options = ["--quick", "--data-dir", tmp_path / "data", "--output", tmp_path / "out"]
    printed = run_here(script, layer_file, *options, "--backend", "cpu")
    path = tmp_path / "out" / "best-codes.json"
    (record,) = json.loads(path.read_text())
    assert set(record) >= FIELDS
    assert record["seed"] == 3
    layer = minisca.SparseConvAutoencoder.load(layer_file)
    images = minisca.datasets.load_mnist(tmp_path / "data", download=False).test_images
    found = [record[f"{kind}_error"] for kind in ("reconstruction", "refitted", "searched")]
    assert found[0] == pytest.approx(-layer.score(images), rel=1e-5)
    assert found[0] > found[1] > found[2] > 0
    assert all(f"{error:.2f}" in printed for error in found)
    before = path.read_bytes()
    run_here(script, layer_file, *options, "--backend", "cpu", "--resume")
    assert path.read_bytes() == before


def test_bad_input_is_named(layer_file, tmp_path):
    options = ["--data-dir", tmp_path / "data", "--output", tmp_path / "out", "--backend", "cpu"]
    assert "--starts is 0" in refusal(script, layer_file, "--starts", "0", *options)
    (tmp_path / "other.npz").write_bytes(b"PK")
    with pytest.raises(minisca.CheckpointError, match=r"other\.npz"):
        run_here(script, tmp_path / "other.npz", *options)
