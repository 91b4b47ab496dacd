"""What a study trains on, scales by and scores on: by stand-ins of layers and classifiers."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from studies import measure as script
from studies.measure import Measure
from studies.runs import Runs
from studies.space import read_space

import minisca
from minisca.preprocessing import contrast_normalise
from tests.support.experiments import Layer, numbered, numbers

SPACE = """
design = "grid"
[training]
n_maps = 4
[encoding]
encoding_bias = [1.0, 0.5]
feature_scaling = ["none", "per-map"]
l2 = [1e-3, 1e-2]
labels = 4
"""


class Biased(Layer):
    """Its features are the images times its encoding bias."""

    def transform(self, images, out=None):
        return np.asarray(images) * np.float32(self.options["encoding_bias"])


class Judge:
    """A stand-in of a classifier that takes every image for one of the second class."""

    n_iter_, converged_ = 5, True
    fitted: list

    def __init__(self, **options):
        self.options = options

    def fit(self, features, labels):
        self.fitted.append((self.options["l2"], np.array(features), list(labels)))
        self.classes_ = np.unique(labels)

    def _scores(self, features):
        self.fitted[-1] += (np.array(features),)
        return np.eye(2)[np.ones(len(features), int)]

    def _row_losses(self, scores, codes):
        return (10.0 * len(codes),)


def prepared(directory, notes, monkeypatch, text=SPACE):
    """The study's runs and its `Measure`: of images 1 to 8, validated on 9 and 10."""
    (directory / "s.toml").write_text(text)
    space = read_space(directory / "s.toml")
    images = SimpleNamespace(name="digits", train=numbered(1, 8), validation=numbered(9, 2))
    images.train_labels, images.validation_labels = np.array([0, 1] * 4), np.array([0, 1])
    runs_file = Runs(directory)
    runs_file.hold = lambda name, wait: contextlib.nullcontext(True)
    measure, Judge.fitted = Measure(images, space, runs_file, "cpu"), []
    default = minisca.SparseConvAutoencoder().get_params()

    def make(**options):
        return Biased(notes, **default | options)

    errors = {"DivergenceError": minisca.DivergenceError, "SparseConvAutoencoder": make}
    monkeypatch.setattr(script, "minisca", SimpleNamespace(**errors))
    monkeypatch.setattr(script, "CLASSIFIERS", {"logistic": Judge})
    return space.runs([6]), measure


def test_a_layer_is_trained_once_and_every_encoding_of_it_scored_on_validation_images(
    tmp_path, notes, monkeypatch
):
    runs, measure = prepared(tmp_path, notes, monkeypatch)
    found = [(run.encoding, record) for run, record in measure.records(runs)]
    ((layer, trained, path, _),) = notes.of("train")
    assert trained == list(range(1, 9))
    assert (layer.random_state, layer.n_maps) == (6, 1)
    assert path == tmp_path / "layers" / f"{measure.layer_key(runs[0])}.npz"
    assert len(found) == len(Judge.fitted) == 8
    for (encoding, record), (l2, train, labels, *judged) in zip(found, Judge.fitted, strict=True):
        assert encoding["l2"] == l2
        assert labels == [0, 1, 0, 1]  # of as many as have labels
        images, bias = np.arange(1, 11), np.float32(encoding["encoding_bias"])
        scale = np.sqrt(np.square(bias * images[:8]).mean())
        scale = scale if encoding["feature_scaling"] == "per-map" else 1
        expected = bias * images / scale
        wanted = (expected[:4], expected[8:], expected[4:8])
        for part, numbers_ in zip((train, *judged), wanted, strict=True):
            np.testing.assert_allclose(part.max(axis=(1, 2, 3)), numbers_, rtol=1e-5)
        assert record["validation_error_percent"] == 50  # three of six
        assert record["validation_loss"] == 10
        assert record["reconstruction_error"] == 9.5
        assert (record["iterations"], record["converged"], record["loss"]) == (5, True, 6)


@pytest.mark.parametrize(
    ("name", "declared", "values", "default"),
    [
        ("pool_origin", '["corner", "centred"]', {"corner", "centred"}, "centred"),
        ("encoding_contrast", '["off", 0.3]', {None, 0.3}, None),
    ],
)
def test_settings_that_came_later_are_an_encodings_own_and_off_unless_declared(
    tmp_path, notes, monkeypatch, name, declared, values, default
):
    text = SPACE.replace("[1.0, 0.5]", f"1.0\n{name} = {declared}")
    runs, measure = prepared(tmp_path, notes, monkeypatch, text)
    found = []
    monkeypatch.setattr(
        Biased, "transform", lambda layer, x: found.append(layer.options[name]) or x
    )
    assert len(list(measure.records(runs))) == 8
    assert len({measure.layer_key(run) for run in runs}) == 1
    assert set(found) == values
    assert name not in read_space(tmp_path / "s.toml").runs([0])[0].training
    found.clear()
    runs, measure = prepared(tmp_path, notes, monkeypatch)
    assert len(list(measure.records(runs))) == 8
    assert set(found) == {default}
    assert all(name not in run.settings() for run in runs)


def test_dead_maps_are_those_that_no_validation_image_uses(tmp_path, notes, monkeypatch):
    runs, measure = prepared(tmp_path, notes, monkeypatch)
    usage = {2: [0, 0.0005, 0.5], 8: [0.5] * 3}
    monkeypatch.setattr(Biased, "usage", lambda layer, images: np.array(usage[len(images)]))
    (_, record), *_ = measure.records(runs)
    assert record["dead_maps"] == 2


def test_a_run_that_diverges_has_no_score_and_says_why(tmp_path, notes, monkeypatch):
    runs, measure = prepared(tmp_path, notes, monkeypatch)

    def fit(*arguments, **options):
        raise minisca.DivergenceError("it grew")

    monkeypatch.setattr(Biased, "fit", fit)
    found = list(measure.records(runs))
    assert len(found) == 8
    assert {repr(record) for _, record in found} == {
        repr({"validation_error_percent": None, "why": "it grew"})
    }


@pytest.mark.parametrize("kind", ["none", "contrast", "per-map", "root", 2.0])
@pytest.mark.parametrize("below", [False, True])
def test_images_are_scaled_by_training_images_for_both_halves(
    tmp_path, notes, monkeypatch, kind, below
):
    text = SPACE.replace("n_maps = 4", f"n_maps = 4\ninput_scaling = {kind!r}")
    text += "[below]\nn_maps = 3\nencoding_bias = 3\n" if below else ""
    (run, *_), measure = prepared(tmp_path, notes, monkeypatch, text)
    found = measure._inputs(run)
    parts = [factor * np.float32(3 if below else 1) for factor in (numbered(1, 8), numbered(9, 2))]
    rms = np.sqrt(np.square(parts[0]).mean())
    scale = {
        "none": lambda x: x,
        "contrast": contrast_normalise,
        "per-map": lambda x: x / rms,
        "root": np.sqrt,
        2.0: lambda x: 2 * x,
    }[kind]
    for images, part in zip(found, parts, strict=True):
        np.testing.assert_allclose(images, scale(part), rtol=1e-5)
    assert numbers(measure.images.train) == list(range(1, 9))  # as they were
    trained = [(layer.random_state, given) for layer, given, *_ in notes.of("train")]
    assert trained == ([(6, list(range(1, 9)))] if below else [])
