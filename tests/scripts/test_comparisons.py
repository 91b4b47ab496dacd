"""What the comparisons and Figure 1c learn from, what they score, on which images: by stand-ins."""

from types import SimpleNamespace

import compare_encodings
import compare_sparsity
import numpy as np
import pytest
from common.records import Results
from paper_figures import accuracy
from paper_figures.run import FigureRun

import minisca
from minisca.datasets import Dataset, StereoDataset
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.experiments import Classifier, Layer, numbered
from tests.support.script_runs import run_here

#: 20 training images and 5 to validate on.
COLOURS = np.random.default_rng(0).random((25, 3, 8, 8), np.float32)
LABELS = np.arange(25) % 3


class Unread:
    """Test images that nobody may read."""

    def __getattr__(self, name):
        raise AssertionError("the test images were read")


@pytest.fixture
def run(tmp_path):
    """A run of a command on made-up images."""
    options = {"output": tmp_path, "images": None, "epochs": None, "quick": False, "seed": 2}
    options |= {"resume": True, "backend": "cpu", "maps": 4, "whitened": False}
    run = FigureRun(SimpleNamespace(**options))
    run.cifar_data = Dataset(COLOURS, LABELS, Unread(), Unread(), "colours", "here")
    digits = numbered(1, 10)
    run.mnist = Dataset(digits, np.arange(10) % 2, Unread(), Unread(), "digits", "here")
    return run


def normalised(whitened, n=20):
    """The first n training images, and those to validate on, as `FigureRun.cifar` has them."""
    images = contrast_normalise(COLOURS)
    whitener = ZCA(0.1).fit(images[:20])
    return [whitener.transform(part) if whitened else part for part in (images[:n], images[20:])]


class Given(list):
    """A model and a classifier that note what they are given, and what they return of it.

    Scores are by the number of labels: 0.25 of all training images, 0.625 of those to validate on.
    """

    loss_history_ = objective_history_ = np.array([1.0])

    def __bool__(self):
        return True  # as estimators are

    def get_params(self):
        return {"n_maps": 4}

    def fit(self, images, labels=None):
        self.append(("fit", np.array(images), labels))
        return self

    def transform(self, images):
        return 2 * images.reshape(len(images), -1)

    def feature_maps(self, images):
        return 2 * images

    def score(self, features, labels):
        self.append(("score", np.array(features), labels))
        return 0.625 if len(labels) == 5 else 0.25


def assert_given(given, *expected):
    """The calls, in order, with these arrays and labels."""
    assert len(given) == len(expected)
    for (kind, array, labels), (wanted, *what) in zip(given, expected, strict=True):
        assert kind == wanted
        np.testing.assert_allclose(array, what[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(labels, what[1])


# Images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("images", [None, 7])
def test_whitening_is_learned_from_all_images_but_those_to_validate_on(run, whitened, images):
    run.arguments.images = images
    name, (train, labels), (validation, truth) = run.cifar(whitened)
    expected = normalised(whitened, images or 20)
    assert name == "colours"
    for found, wanted in zip((train, validation), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(labels, LABELS[: images or 20])
    np.testing.assert_array_equal(truth, LABELS[20:])


def test_of_pairs_every_training_view_is_an_image(run):
    pairs = np.random.default_rng(1).random((6, 2, 8, 8), np.float32)
    parts = {"images": pairs, "labels": np.arange(6) % 5, "info": np.zeros((6, 4), np.int32)}
    run.norb_data = StereoDataset(
        **{f"train_{part}": array for part, array in parts.items()},
        **{f"test_{part}": Unread() for part in parts},
        **{"name": "pairs", "source": "here"},
    )
    views = contrast_normalise(pairs.reshape(12, 1, 8, 8))
    for whitened, expected in ((False, views), (True, ZCA(0.1).fit_transform(views))):
        name, found = run.norb(whitened)
        assert name == "pairs"
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("whitened", [False, True])
def test_digits_to_validate_on_are_whitened_as_those_to_learn_from(run, whitened):
    rng = np.random.default_rng(0)
    images, labels = rng.random((30, 1, 5, 5)), np.arange(30)
    run.mnist = Dataset(images, labels, Unread(), Unread(), "digits", "here")
    run.arguments.whitened, run.arguments.images = whitened, 9
    name, *halves = compare_sparsity.load_images(run)
    assert name == "digits, 9 training images" + ", whitened" * whitened
    parts = [images[:9], images[24:]]
    if whitened:
        train, validation = map(contrast_normalise, parts)
        parts = [ZCA().fit_transform(train), ZCA().fit(train).transform(validation)]
    for (found, its_labels), part, first in zip(halves, parts, (0, 24), strict=True):
        np.testing.assert_array_equal(found, part)
        np.testing.assert_array_equal(its_labels, labels[first : first + len(part)])


# Figure 1c ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", accuracy.KINDS)
@pytest.mark.parametrize("method", accuracy.METHODS)
def test_a_point_is_learned_from_training_images_and_scored_on_validation(
    run, monkeypatch, tmp_path, method, kind
):
    given, options = Given(), []
    monkeypatch.setattr(
        accuracy, "make_model", lambda *arguments: options.append(arguments) or given
    )
    logistic = SimpleNamespace(LogisticRegression=lambda l2: options.append(l2) or given)
    monkeypatch.setattr(accuracy, "minisca", logistic)
    record = accuracy.measure(run, Results(tmp_path, True), method, 4, kind)
    whitened = kind == "whitened"
    train, validation = normalised(whitened and method != "k-means")
    supervised = method == "supervised"
    if supervised:
        assert_given(given, ("fit", train, LABELS[:20]), ("score", validation, LABELS[20:]))
    else:
        features, checked = map(given.transform, (train, validation))
        fitted = [("fit", train, None), ("fit", features, LABELS[:20])]
        assert_given(given, *fitted, ("score", checked, LABELS[20:]))
    assert options == [
        (run, method, 4, whitened),
        *([] if supervised else [accuracy.L2[method, kind]]),
    ]
    assert record["row"] == f"figure-1c-{method}-4-{kind}"
    assert record["validation_accuracy_percent"] == 62.5
    assert record["validation_error_percent"] == 37.5
    assert record["validation_images"] == 5
    assert (record["seed"], record["data"]) == (2, "colours")


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("method", accuracy.METHODS)
def test_methods_of_figure_1c_share_seed_maps_and_all_but_k_means_the_architecture(
    run, method, whitened
):
    found = accuracy.make_model(run, method, 12, whitened).get_params()
    assert (found["n_maps"], found["random_state"]) == (12, 2)
    if method == "k-means":
        assert (found["whiten"], found["n_patches"]) == (whitened, 100_000)
    else:
        assert found | accuracy.ARCHITECTURE == found
        rate = accuracy.SUPERVISED_RATE if method == "supervised" else accuracy.RATE
        assert (found["learning_rate"], found["n_epochs"]) == (rate, 8)


# compare_encodings.py -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", compare_encodings.ENCODINGS)
def test_an_encoding_is_standardised_by_training_images_and_scored_on_validation(
    run, monkeypatch, tmp_path, encoding
):
    given, fitted = Given(), Given()
    monkeypatch.setattr(compare_encodings, "make_model", lambda *arguments: fitted)
    monkeypatch.setattr(compare_encodings, "feature_maps", lambda encoding, model, x: 2 * x)
    logistic = SimpleNamespace(LogisticRegression=lambda **options: given)
    monkeypatch.setattr(compare_encodings, "minisca", logistic)
    found = list(compare_encodings.measure(run, Results(tmp_path, True), {}, encoding, 4))
    parts = normalised(encoding != "k-means")
    assert_given(fitted, ("fit", parts[0], None))  # once for both poolings
    maps = [2 * part for part in parts]
    quadrants = [part.reshape(-1, 3, 2, 4, 2, 4).sum(axis=(3, 5)).reshape(-1, 12) for part in maps]
    (pooling, record), _ = found
    mean, scale = quadrants[0].mean(axis=0), np.sqrt(quadrants[0].var(axis=0) + 1e-4)
    train, validation = ((part - mean) / scale for part in quadrants)
    assert_given(given[:2], ("fit", train, LABELS[:20]), ("score", validation, LABELS[20:]))
    assert pooling == "quadrants"
    assert [record["validation_accuracy_percent"] for _, record in found] == [62.5, 62.5]
    assert record["n_features"] == 12
    assert record["settings"]["classifier"]["l2"] == compare_encodings.L2["quadrants"]


def test_of_the_encodings_k_means_alone_prepares_its_patches_by_themselves(run):
    found = {
        encoding: compare_encodings.make_model(run, encoding, 4).get_params()
        for encoding in compare_encodings.ENCODINGS
    }
    own = {name: (p["whiten"], p["normalise"]) for name, p in found.items() if "whiten" in p}
    assert own == {"k-means, whole images": (False, False), "k-means": (True, True)}
    assert {params["random_state"] for params in found.values()} == {2}


def test_local_maps_divide_by_the_deviation_of_what_a_place_sees(run):
    images = COLOURS[:3]
    layer = minisca.SparseConvAutoencoder(2, filter_width=3, n_epochs=0, random_state=0).fit(images)
    layer.encoder_bias_[...] = 0.25, -0.125
    found = compare_encodings.feature_maps("winner-take-all, local", layer, images)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for row, column in ((0, 0), (3, 5)):
        seen = padded[:, None, :, row : row + 3, column : column + 3]
        values = (seen * layer.encoder_filters_).sum((2, 3, 4))
        values /= np.sqrt(np.square(seen).mean((2, 3, 4)) + compare_encodings.LOCAL_EPSILON)
        expected = np.maximum(values + layer.encoder_bias_, 0)
        np.testing.assert_allclose(found[:, :, row, column], expected, rtol=1e-4, atol=1e-6)


# compare_sparsity.py --------------------------------------------------------------------------


def test_a_rule_is_judged_by_validation_images_and_its_maps_by_training_images(
    run, notes, monkeypatch, tmp_path
):
    layer = Layer(notes, random_state=0)
    run.layer = lambda **options: layer
    made = SimpleNamespace(LogisticRegression=lambda: Classifier(notes, wrong=(1, 2, 10)))
    monkeypatch.setattr(compare_sparsity, "minisca", made)
    monkeypatch.setattr(
        compare_sparsity, "learned_filters", lambda layer, x: layer.decoder_filters_
    )
    images = compare_sparsity.load_images(run)
    record, _ = compare_sparsity.measure(run, Results(tmp_path, True), "top-2", images)
    assert [given for _, given, *_ in notes.of("train")] == [list(range(1, 9))]
    assert notes.of("fit") == [[list(range(1, 9)), [0, 1] * 4]]
    assert notes.of("classify") == [[[9, 10]]]
    assert record["validation_accuracy_percent"] == 50
    assert record["reconstruction_error"] == 9.5
    assert record["usage"] == [4.5]
    assert (record["seed"], record["row"]) == (2, "sparsity-top-2")


def test_what_was_learned_is_what_training_added_to_the_first_filters():
    layer = minisca.SparseConvAutoencoder(3, filter_width=3, n_epochs=0, random_state=1)
    layer.fit(COLOURS)
    assert not compare_sparsity.learned_filters(layer, COLOURS).any()
    layer.decoder_filters_[...] += 0.5
    found = compare_sparsity.learned_filters(layer, COLOURS)
    np.testing.assert_allclose(found, 0.5, atol=1e-6)


def test_the_picture_has_the_first_seeds_filters_over_means_of_all(monkeypatch, tmp_path):
    def measure(run, results, rule, images):
        seed = run.arguments.seed
        if (seed, rule) == (3, "none"):
            raise minisca.DivergenceError("it grew")
        record = {"dead_maps": seed, "validation_error_percent": 2.0 * seed, "usage": [0.5]}
        names = ("delta_share", "sharpness", "steepness")
        record |= {f"median_{name}": 1.0 for name in names}
        record |= {"reconstruction_error": 1.0, "repeated_filters": 0, "living_filters": 1}
        settings = {"layers": [{"learning_rate": 0.1, "n_maps": 1}]}
        return record | {"seconds": {"total": 1.0}, "settings": settings}, (rule, seed)

    drawn = []
    monkeypatch.setattr(compare_sparsity, "measure", measure)
    monkeypatch.setattr(compare_sparsity, "load_images", lambda run: ("digits", None, None))
    monkeypatch.setattr(compare_sparsity, "draw_variants", lambda *given: drawn.append(given))
    monkeypatch.setattr(FigureRun, "mnist", SimpleNamespace(source="here"))
    printed = run_here(compare_sparsity, "--seeds", 3, 6, "--output", tmp_path)
    ((path, records, layers),) = drawn
    assert path == tmp_path / "pictures" / "raw.png"
    assert layers == {
        rule: (rule, 6 if rule == "none" else 3) for rule in compare_sparsity.variants(16)
    }
    assert {rule: r["dead_maps"] for rule, r in records.items()} == {
        rule: 6 if rule == "none" else 4.5 for rule in layers
    }
    assert "none, seed 3: it grew" in printed
    assert "9.00 %" in printed  # the mean of 6 and 12
