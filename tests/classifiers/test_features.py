"""The classifier takes features from any array that slices, without copying it."""

import tracemalloc

import numpy as np
import pytest

from minisca import LinearSVM, LogisticRegression
from minisca.classifiers import feature_blocks
from minisca.classifiers.feature_blocks import FeatureBlocks
from tests.support.classifier_problems import problem
from tests.support.layers import Slices

kinds = pytest.mark.parametrize("kind", [LogisticRegression, LinearSVM])


def test_float32_is_near_float64_and_each_keeps_its_type():
    features, labels = problem(dtype=np.float32)
    single = LogisticRegression(l2=0.01).fit(features, labels)
    double = LogisticRegression(l2=0.01).fit(features.astype(np.float64), labels)
    assert (single.coef_.dtype, double.coef_.dtype) == (np.float32, np.float64)
    # Both stop within tol of the minimum, whose curvature is at least l2.
    np.testing.assert_allclose(
        single.predict_proba(features), double.predict_proba(features), atol=0.01
    )


@pytest.mark.parametrize("dtype", [np.float16, ">f2", ">f4", np.uint8, np.int8, bool])
@kinds
def test_what_float32_holds_is_computed_in_float32(kind, dtype):
    features, labels = problem()
    features = np.abs(features).astype(dtype)
    classifier = kind(l2=0.01).fit(features, labels)
    reference = kind(l2=0.01).fit(features.astype(np.float32), labels)
    assert classifier.coef_.dtype == np.float32
    assert np.array_equal(classifier.coef_, reference.coef_)
    scores = reference.decision_function(features)
    assert np.array_equal(classifier.decision_function(features), scores)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.longdouble])
def test_what_float32_cannot_hold_is_computed_in_float64(dtype):
    features, labels = problem()
    classifier = LogisticRegression(max_iter=5).fit(features.astype(dtype), labels)
    assert classifier.coef_.dtype == np.float64


def test_every_float16_is_read_exactly():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 16)
    blocks = np.concatenate([block.copy() for _, block in FeatureBlocks(halves, block_bytes=9000)])
    assert blocks.dtype == np.float32
    assert blocks.tobytes() == halves.astype(np.float32).tobytes()  # the sign of zero too


def test_rows_of_any_rank_are_flattened():
    features, labels = problem()
    flat = LogisticRegression().fit(features, labels)
    maps = features.reshape(-1, 3, 2, 2)
    scores = flat.decision_function(features)
    assert flat.n_features_in_ == 12
    assert flat.coef_.shape == (3, 12)
    for images in (maps, np.asfortranarray(maps), np.repeat(maps, 2, axis=1)[:, ::2]):
        classifier = LogisticRegression().fit(images, labels)
        assert np.array_equal(classifier.coef_, flat.coef_)
        assert np.array_equal(classifier.decision_function(images), scores)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@kinds
def test_arrays_that_only_slice_are_read_in_blocks(small_blocks, kind, dtype):
    features, labels = problem(dtype=dtype)
    sliced = Slices(features.reshape(-1, 3, 2, 2))
    classifier = kind().fit(sliced, labels)
    reference = kind().fit(features, labels)
    assert np.array_equal(classifier.coef_, reference.coef_)
    assert np.array_equal(classifier.predict(sliced), reference.predict(features))
    assert classifier.score(sliced, labels) == reference.score(features, labels)
    itemsize = np.dtype(np.float32 if dtype == np.float16 else dtype).itemsize
    assert max(map(len, sliced.reads)) == 80 // itemsize
    assert all(np.all(np.diff(rows) == 1) for rows in sliced.reads)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("rows", [99, 101], ids=["fewer", "more"])
@kinds
def test_an_array_that_gives_other_rows_than_its_shape_is_refused(kind, rows, dtype):
    features, labels = problem(n=100, dtype=dtype)
    wrong = type("Wrong", (Slices,), {"__getitem__": lambda self, _: np.ones((rows, 12))})
    with pytest.raises(ValueError, match=r"X\[0:\d+\] has shape \(\d+, 12\); it must be"):
        kind().fit(wrong(features), labels)


def test_a_memory_mapped_file_is_fitted(small_blocks, tmp_path):
    features, labels = problem(dtype=np.float32)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    classifier = LogisticRegression().fit(mapped, labels)
    assert np.array_equal(classifier.coef_, LogisticRegression().fit(features, labels).coef_)
    assert type(classifier.predict_proba(mapped)) is np.ndarray


def test_nothing_as_large_as_the_features_is_allocated(monkeypatch):
    monkeypatch.setattr(feature_blocks, "BLOCK_BYTES", 2**20)

    features = np.zeros((4000, 2048), np.float16)
    features[::2, 0] = 1
    labels = np.arange(4000) % 2
    LogisticRegression(max_iter=1).fit(features[:10], labels[:10])  # imports SciPy
    tracemalloc.start()
    LogisticRegression(max_iter=2).fit(features, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6  # the features are 16 MB, and 32 MB in float32


def test_lists_are_taken():
    classifier = LogisticRegression().fit([[0.0], [1.0], [0.1], [0.9]], ["a", "b", "a", "b"])
    assert classifier.predict([[-3], [4]]).tolist() == ["a", "b"]


def test_the_features_are_not_written_to():
    features, labels = problem(dtype=np.float16)
    before = features.copy()
    features.flags.writeable = False
    LogisticRegression().fit(features, labels).predict(features)
    assert np.array_equal(features, before)


@pytest.mark.parametrize(("n", "block_bytes"), [(50, 10 * 20), (50, 30 * 20), (3, 1), (16, 10**6)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8])
@pytest.mark.parametrize("read", [Slices, np.array], ids=["slices", "array"])
def test_shuffled_gives_every_row_once_in_an_order_of_its_own(n, block_bytes, dtype, read):
    features = np.arange(5 * n).reshape(n, 5).astype(dtype)
    blocks = FeatureBlocks(read(features), block_bytes=block_bytes)
    random = np.random.default_rng(0)
    passes = []
    for _ in range(2):
        rows = []
        for indices, block, places in blocks.shuffled(random):
            assert block.dtype == (np.float16 if dtype == np.float16 else np.float32)
            assert 1 <= len(indices) <= blocks.rows
            np.testing.assert_array_equal(block[places], features[indices])
            rows.extend(indices)
        assert sorted(rows) == list(range(n))
        passes.append(rows)
    if n == 50:  # of seven runs there are orders enough
        assert passes[0] != passes[1]
