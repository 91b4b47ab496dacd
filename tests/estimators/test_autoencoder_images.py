"""SparseConvAutoencoder takes images of any type, from anything that slices, a batch at a time."""

import numpy as np
import pytest

import reference
from tests.support.layers import PARAMETERS, Slices, assert_same_state, images, layer


@pytest.mark.parametrize("source", ["float64", "float16", ">f4", "uint8", "bool", "int64"])
def test_any_real_numbers_are_trained_on_in_float32(source):
    x = np.round(np.abs(images(n=9)) * 10).astype(source)
    made = layer(learning_rate=1e-4).fit(x)
    assert_same_state(made, layer(learning_rate=1e-4).fit(x.astype(np.float32)))
    assert made.transform(x).dtype == made.reconstruct(x).dtype == np.float32
    assert made.encoder_filters_.dtype == np.float32


def test_dtype_float64_computes_in_float64():
    x = images(n=9)
    made = layer(dtype="float64").fit(x)
    assert all(getattr(made, name).dtype == np.float64 for name in PARAMETERS)
    assert made.transform(x).dtype == made.feature_maps(x).dtype == np.float64
    maps = reference.relu(reference.conv2d(x, made.encoder_filters_, made.encoder_bias_))
    np.testing.assert_allclose(made.feature_maps(x), maps, rtol=0, atol=1e-13)


def test_float32_training_stays_near_float64_training():
    x = images(n=18)
    single, double = (layer(dtype=dtype).fit(x) for dtype in ("float32", "float64"))
    np.testing.assert_allclose(single.loss_history_, double.loss_history_, rtol=1e-4)


def test_nested_lists_are_images_too():
    x = images(n=6)
    made = layer().fit(x.tolist())
    assert_same_state(made, layer().fit(x))
    np.testing.assert_array_equal(made.transform(x.tolist()), made.transform(x))


def test_a_read_only_memory_map_is_trained_on_as_if_it_were_in_memory(tmp_path):
    x = images(n=20)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert_same_state(layer().fit(mapped), layer().fit(x))
    assert np.array_equal(np.load(tmp_path / "x.npy"), x)


def test_training_reads_every_row_once_an_epoch_and_never_more_than_a_batch():
    x = Slices(images(n=20))
    made = layer(n_epochs=2, batch_size=6).fit(x)
    known, *reads, dead = x.reads  # which images they are; whether most maps are dead
    assert len(known) == len(dead) == 20
    assert [len(rows) for rows in reads] == [6, 6, 6, 2] * 3
    for part in (reads[:4], reads[4:8], reads[8:]):
        assert sorted(np.concatenate(part)) == list(range(20))
    assert not all(np.array_equal(a, b) for a, b in zip(reads[4:8], reads[8:], strict=True))
    assert_same_state(made, layer(n_epochs=2, batch_size=6).fit(x.array))
    x.reads.clear()
    made.partial_fit(x)  # trained on: only where that fails are they measured
    layer(batch_size=6).partial_fit(x)  # measured, and trained on
    assert [len(rows) for rows in x.reads] == [6, 6, 6, 2] * (1 + 2)


def test_measuring_many_images_reads_a_thousand_spread_over_all():
    x = Slices(np.random.default_rng(0).random((2500, 1, 2, 7), dtype=np.float32))
    made = layer(n_epochs=0, batch_size=100).fit(x)
    rows = np.concatenate(x.reads[1:])
    assert (len(rows), rows[0], rows[-1]) == (1000, 0, 2499)
    assert np.diff(rows).max() == 3
    assert made.patch_energy_ == pytest.approx(np.mean(x.array[rows] ** 2) * 3 * 3, rel=1e-5)
