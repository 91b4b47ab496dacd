"""What the commands of the tables make of images and features, and learn from few labels."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from common.records import Results, Stopwatch
from features import files
from features.joined import Seen
from tables import few_labels, images, run
from tables.rows import Row

from minisca import SparseConvAutoencoder
from minisca.datasets import Dataset
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.experiments import ONE, TEST, Layer, made_images, numbered, numbers

# Scores ---------------------------------------------------------------------------------------


class Plane:
    """Scores that are linear in the features: of classes, or of two by the sign of one number."""

    def __init__(self, weights):
        self.weights = weights
        self.classes_ = np.arange(max(2, weights.shape[1])) + 10

    def fit(self, features, labels, **options):
        return self

    def decision_function(self, features):
        scores = np.maximum(features.reshape(len(features), -1), 0) @ self.weights
        return scores if scores.shape[1] > 1 else scores[:, 0]


def around(images):
    """The images and their shifts by a pixel, row by row: the fifth are as they are."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return [padded[:, :, r : r + 4, c : c + 4] for r, c in np.ndindex(3, 3)]


@pytest.mark.parametrize("n_scores", [1, 3])
@pytest.mark.parametrize(
    ("altered", "seen", "plain"),
    [("shifts", around, 4), ("mirrored", lambda images: [images, images[..., ::-1]], 0)],
)
def test_averaged_scores_are_the_sum_over_the_image_and_all_that_it_is_altered_to(
    notes, n_scores, altered, seen, plain
):
    rng = np.random.default_rng(0)
    data = made_images()._replace(train=rng.standard_normal((8, 1, 4, 4)))
    data = data._replace(test=rng.standard_normal((300, 1, 4, 4)))
    plane = Plane(rng.standard_normal((16, n_scores)))
    row = Row(layers=ONE, classifier=plane, altered=altered)
    layer = Layer(notes, random_state=0)
    encoded = run.Encoded(row, [layer], [data.train.copy()], data, None)
    _, found = run.evaluate(row, encoded, data, Stopwatch())
    for half, images_ in enumerate((data.train[6:], data.test)):
        scores = np.array([plane.decision_function(others) for others in seen(images_)])

        def labels(scores):
            codes = scores.argmax(axis=-1) if n_scores > 1 else (scores > 0).astype(int)
            return plane.classes_[codes]

        np.testing.assert_array_equal(found[""][half], labels(scores[plain]))
        np.testing.assert_array_equal(found[altered][half], labels(scores.sum(axis=0)))
    assert (labels(scores) != labels(scores.sum(axis=0))).any(axis=1).all()  # no image says it all


def test_a_score_above_0_is_the_second_of_two_classes_and_of_more_the_largest_counts():
    three = SimpleNamespace(classes_=np.array(["a", "b", "c"]))
    two = SimpleNamespace(classes_=three.classes_[:2])
    assert list(run.labels_of(two, np.array([-1.0, 2.0]))) == ["a", "b"]
    assert list(run.labels_of(three, np.array([[0, 1, 2], [5, 3, 4.0]]))) == ["c", "a"]


@pytest.mark.parametrize("n_layers", [1, 2])
def test_scalings_of_features_are_those_of_the_training_images(n_layers):
    rng = np.random.default_rng(0)
    train, test = (
        [rng.random((n, 2, 3, 3), np.float32) * [[[[1]], [[high]]]] for _ in range(n_layers)]
        for n, high in ((40, 5), (30, 70))
    )
    factors = [1 / np.sqrt(np.square(part).mean(axis=(0, 2, 3))) for part in train]
    seen = Seen("per-map")
    given = [[part.astype(np.float32) for part in half] for half in (train, test)]
    found = [np.asarray(seen.fit_transform(given[0])), np.asarray(seen.transform(given[1]))]
    scaled = [
        [part * factor[:, None, None] for part, factor in zip(half, factors, strict=True)]
        for half in (train, test)
    ]
    if n_layers > 1:  # and every layer's to a mean variance of 1
        whole = [1 / np.sqrt(part.var(axis=0).mean()) for part in scaled[0]]
        scaled = [[part * f for part, f in zip(half, whole, strict=True)] for half in scaled]
    for half, expected in zip(found, scaled, strict=True):
        flat = np.hstack([part.reshape(len(part), -1) for part in expected])
        np.testing.assert_allclose(half.reshape(len(half), -1), flat, rtol=1e-4)


def test_features_of_an_image_are_scaled_by_their_own_length():
    features = np.ones((2, 2, 1, 1), np.float32) * [[[[3]], [[4]]]]
    features[1] *= 10
    found = Seen("per-image").fit_transform([features.astype(np.float32)])
    np.testing.assert_allclose(
        found.reshape(2, 2), 2 * [np.array([0.6, 0.8]) * np.sqrt(2)], rtol=1e-6
    )


def test_features_are_kept_in_float32_up_to_the_limit(monkeypatch, notes):
    layer, data = Layer(notes), numbered(1, 5)
    kept = SimpleNamespace(encode=lambda layer, images: "in a file")
    for limit, expected in ((data.nbytes, np.float32), (data.nbytes - 1, None)):
        monkeypatch.setattr(files, "FLOAT32_BYTES", limit)
        found = files.encode_layer(layer, data, kept)
        assert found == "in a file" if expected is None else found.dtype == expected


# Images ---------------------------------------------------------------------------------------


def test_images_are_whitened_by_the_training_images_statistics(tmp_path):
    rng = np.random.default_rng(0)
    data = made_images()._replace(
        train=rng.random((50, 1, 4, 4)), test=9 * rng.random((5, 1, 4, 4))
    )
    train, test = map(contrast_normalise, (data.train, data.test))
    found = images.prepare(data, "raw", tmp_path)
    np.testing.assert_array_equal(found.train, train)
    np.testing.assert_array_equal(found.test, test)
    assert not list(tmp_path.iterdir())
    whitener = ZCA(images.ZCA_EPSILON).fit(train)
    found = images.prepare(data, "whitened", tmp_path)
    np.testing.assert_array_equal(found.train, whitener.transform(train))
    np.testing.assert_array_equal(found.test, whitener.transform(test))
    np.testing.assert_array_equal(ZCA.load(tmp_path / "zca.npz").transform(test), found.test)


def test_a_resumed_run_whitens_as_the_run_before_did_and_other_images_by_their_own(tmp_path):
    """The covariance's directions differ by rounding with the number of threads."""
    rng = np.random.default_rng(0)
    data = made_images()._replace(train=rng.random((50, 1, 4, 4)), test=rng.random((5, 1, 4, 4)))
    images.prepare(data, "whitened", tmp_path)
    saved = ZCA.load(tmp_path / "zca.npz")
    saved.whitening_ *= np.float32(1.001)  # far more, so that it shows
    saved.save(tmp_path / "zca.npz")
    resumed = images.prepare(data, "whitened", tmp_path, resume=True)
    expected = saved.transform(contrast_normalise(data.train))
    np.testing.assert_array_equal(resumed.train, expected)
    for other in (data._replace(train=rng.random((50, 1, 4, 4))), data):  # the second not resumed
        train = contrast_normalise(other.train)
        found = images.prepare(other, "whitened", tmp_path, resume=other is not data)
        expected = ZCA(images.ZCA_EPSILON).fit(train).transform(train)
        np.testing.assert_array_equal(found.train, expected)


def test_a_quick_run_has_the_first_images_with_their_labels_and_says_so(monkeypatch):
    monkeypatch.setattr(images, "QUICK_IMAGES", (6, 3))
    data = Dataset(numbered(0, 10), np.arange(10), numbered(100, 8), 100 + np.arange(8), "d", "s")
    found = images.first_images(data)
    assert numbers(found.train_images) == list(found.train_labels) == list(range(6))
    assert numbers(found.test_images) == list(found.test_labels) == [100, 101, 102]
    assert found.name == "d, first 6 training and 3 test images"
    monkeypatch.setattr(images, "QUICK_IMAGES", (10, 3))
    assert images.first_images(data) is data


@pytest.mark.parametrize("label", ["Original", "original", "ORIGINAL"])
def test_no_label_gives_the_originals_name_away(label):
    data = Dataset(*[numbered(0, 4)] * 4, "copy", "s")
    assert images.labelled(data, "another", "Original").name == "another"
    assert images.labelled(data, None, "Original") is data
    with pytest.raises(SystemExit, match="that is the original, which s is not"):
        images.labelled(data, label, "Original")
    known = replace(data, name="Original")
    assert images.labelled(known, label, "Original").name == label


# Few labels -----------------------------------------------------------------------------------


class Few:
    """A stand-in of the SVM, whose score depends on its penalty alone.

    Of the validation images that of the second penalty is the best, of the test images another.
    """

    fitted: list

    def __init__(self, l2, max_iter, verbose):
        self.place = few_labels.PENALTIES.index(l2)

    def fit(self, features, labels, **options):
        self.fitted.append((numbers(features), list(labels)))
        return self

    def score(self, features, labels):
        half = int(min(numbers(features)) > 100)
        assert len(features) == len(labels) == (4 if half else 30)
        return [[0.5, 0.75], [1.0, 0.125]][half][self.place]


@pytest.fixture
def few(monkeypatch, notes, tmp_path):
    """The records of few labels on 90 images, labels 9 after the 60th; what was fitted."""
    data = made_images(n_train=90, n_fit=60)._replace(test=numbered(101, 4))
    labels = np.append(np.arange(60) % 2, np.full(30, 9))
    data = data._replace(train_labels=labels)
    Few.fitted = []
    monkeypatch.setattr(few_labels, "minisca", SimpleNamespace(LinearSVM=Few))
    monkeypatch.setattr(few_labels, "LABELS_PER_CLASS", (3, 10, 31))
    monkeypatch.setattr(few_labels, "CHOOSING_DRAWS", 1)
    monkeypatch.setattr(few_labels, "scaled", lambda features: features)  # they name the images
    layer = Layer(notes, random_state=0)
    kinds = {"winner-take-all": lambda: layer.transform, "pixels": lambda: layer.transform}
    monkeypatch.setattr(few_labels, "encoders", lambda layer, images, seed: kinds)
    results, watch = Results(tmp_path, resume=True), Stopwatch()
    with watch("train"):
        notes.now += 5000
    name = {"row": "mnist-few-labels", "seed": 0, "data": "d", "settings": {"quick": True}}
    few_labels.measure_few_labels(name, layer, data, results, watch)
    return results.records, labels


def test_drawn_labels_lie_below_the_split_and_every_draw_is_another(few, notes):
    records, labels = few
    for fitted, given in Few.fitted:
        assert max(fitted) <= 60
        assert given == [labels[number - 1] for number in fitted]
    drawn = {tuple(fitted) for fitted, _ in Few.fitted}
    assert sorted(len(fitted) for fitted in drawn) == [6, 6, 20, 20]  # two draws of each number
    read = [given for (given,) in notes.of("encode")]
    for encoded, *halves in zip(read[::3], read[1::3], read[2::3], strict=True):
        assert max(encoded) <= 60
        assert halves == [list(range(61, 91)), TEST]
    assert [len(record["curve"]) for record in records] == [2, 2]  # of 31 there are too few
    # Of 2 kinds and 2 numbers: the first draw with 2 penalties, the second with the better.
    assert len(Few.fitted) == 2 * 2 * (2 + 1)


def test_a_penalty_is_chosen_by_validation_images_alone(few):
    for point in few[0][0]["curve"]:
        assert point["l2"] == few_labels.PENALTIES[1]
        assert point["validation_errors_percent"] == [25, 25]
        assert point["test_errors_percent"] == [87.5, 87.5]
        assert (point["mean_test_error_percent"], point["deviation"]) == (87.5, 0)
        assert point["mean_validation_error_by_l2"] == {"0.3": 50, "3": 25}


def test_the_layers_training_counts_in_the_first_kind_of_features_alone(few):
    seconds = [record["seconds"] for record in few[0]]
    assert [found["train"] for found in seconds] == [5000, 0]
    assert [found["encode"] for found in seconds] == [3, 3]
    assert [found["total"] for found in seconds] == [5003, 3]


def test_baselines_are_as_large_as_the_layer_and_learn_from_its_images(monkeypatch):
    images_, made = numbered(1, 5, side=28), []

    def means(*arguments, **options):
        made.append((arguments, options))
        return SimpleNamespace(fit=lambda x: SimpleNamespace(transform=numbers(x)))

    monkeypatch.setattr(few_labels, "TriangleKMeans", means)
    found = few_labels.encoders(SparseConvAutoencoder(6, filter_width=7), images_, seed=8)
    assert made == [((6,), {"patch_width": 7, "grid": 5, "random_state": 8})]
    assert found["triangle-k-means"]() == [1, 2, 3, 4, 5]
    assert found["pixels"]()(images_).shape == (5, 784)
    assert found["pca"]()(images_).shape == (5, 6)


def test_one_layer_pools_in_several_ways():
    layer = SparseConvAutoencoder(6)
    found = few_labels.encoders(layer, numbered(1, 5, side=28), seed=8)
    pooled = [found[kind]().__self__ for kind in few_labels.POOLINGS]
    how = [(one.pool_width, one.pool_stride, one.pool_origin) for one in pooled]
    assert how == [(11, 4, "centred"), (11, 6, "corner")]
    assert (layer.pool_width, layer.pool_stride) == (5, 3)


def test_every_images_features_have_one_length_and_pixels_stay_as_they_are():
    images_ = np.random.default_rng(0).random((3, 1, 4, 4), np.float32)
    images_[2] = 0
    before = images_.copy()
    found = few_labels.scaled(few_labels.flat(images_))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [4, 4, 0], rtol=1e-6)
    np.testing.assert_array_equal(images_, before)


def test_the_deviation_over_draws_is_of_a_sample_and_all_seeds_count(monkeypatch):
    points = [{"labels_per_class": 10, "test_errors_percent": errors} for errors in ([1, 3], [8.0])]
    records = [
        {"row": "mnist-few-labels-pca", "n_features": 4, "curve": [point]} for point in points
    ]
    rows = few_labels.few_labels_table(records)[1]
    assert rows == [["pca", "4", f"4.00 ± {np.std([1, 3, 8], ddof=1):.2f} %"]]
