"""SparseConvAutoencoder learns, encodes what the reference encodes, and is the same every time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_within, rounding_bound
from layers import PARAMETERS, RULES, Slices, assert_same_state, images, layer, learned, one_thread  # noqa: F401 (fixtures)
from scipy.signal import correlate2d

import minisca
import reference
from minisca import encoding
from minisca.optim import SGD

over_rules = pytest.mark.parametrize("rule", RULES)


@pytest.fixture(scope="module")
def fitted():
    """A layer trained a little on images of two channels."""
    return layer(n_epochs=4).fit(images(channels=2))


@pytest.fixture(scope="module")
def x():
    """New images for it."""
    return images(n=5, channels=2, seed=1)


def encoder_bound(layer, x):
    """How far a float32 pre-activation may be from the reference's."""
    _, c, k, _ = layer.encoder_filters_.shape
    sizes = np.abs(x), np.abs(layer.encoder_filters_), np.abs(layer.encoder_bias_)
    return rounding_bound(c * k * k + 1, reference.conv2d(*sizes), np.float32)


def variance(x):
    """The loss of the best constant for every channel: what a layer without filters can reach."""
    return float(np.sum((x - x.mean(axis=(0, 2, 3), keepdims=True)) ** 2) / len(x))


# The constructor ----------------------------------------------------------------------------


def test_the_constructor_stores_its_arguments_unchanged_and_checks_nothing():
    arguments = {name: object() for name in minisca.SparseConvAutoencoder()._defaults()}
    made = minisca.SparseConvAutoencoder(**arguments)
    assert made.get_params() == arguments
    assert vars(made) == arguments


def test_fit_leaves_the_parameters_as_they_were_given():
    made = layer(sparsity="top-n", n_active=np.int64(2), learning_rate=np.float32(0.01), n_epochs=1)
    before = made.get_params()
    made.fit(images(n=6))
    assert all(made.get_params()[name] is value for name, value in before.items())


def test_set_params_counts_at_the_next_fit():
    made = layer(n_epochs=1)
    assert made.set_params(n_maps=2, filter_width=5) is made
    assert made.fit(images(n=6)).encoder_filters_.shape == (2, 1, 5, 5)


# Learning -----------------------------------------------------------------------------------


@over_rules
def test_fit_sets_what_was_learned_in_the_documented_shapes(rule):
    made = layer(**RULES[rule])
    assert made.fit(images(n=13, channels=2), y=np.arange(13)) is made
    shapes = {name: getattr(made, name).shape for name in PARAMETERS}
    assert shapes == {
        "encoder_filters_": (4, 2, 3, 3),
        "encoder_bias_": (4,),
        "decoder_filters_": (4, 2, 3, 3),
        "decoder_bias_": (2,),
    }
    assert all(getattr(made, name).dtype == np.float32 for name in PARAMETERS)
    assert (made.n_channels_, made.image_size_, made.n_epochs_done_) == (2, (8, 7), 3)
    assert [type(loss) for loss in made.loss_history_] == [float] * 3


@over_rules
def test_the_loss_falls_below_half_the_variance_under_every_rule(rule):
    x = images()
    made = layer(**RULES[rule], n_epochs=15).fit(x)
    assert len(made.loss_history_) == 15
    assert made.loss_history_[-1] < made.loss_history_[0]
    assert -made.score(x) < variance(x) / 2


def test_without_filters_worth_having_the_loss_is_the_variance():
    x = images()
    made = layer(n_epochs=0, init_scale=1e-9).fit(x)
    made.decoder_bias_[:] = x.mean()
    assert -made.score(x) == pytest.approx(variance(x), rel=1e-5)


def test_images_that_were_not_seen_are_rebuilt_as_well():
    made = layer(n_epochs=15).fit(images(n=100))
    unseen = images(seed=1)
    assert -made.score(unseen) < variance(unseen) / 2


def test_the_loss_of_an_epoch_weighs_every_image_alike():
    x = images(n=7)  # a batch of 6 and one of 1
    made = layer(learning_rate=1e-30, n_epochs=1).fit(x)
    assert made.loss_history_[0] == pytest.approx(-made.score(x), rel=1e-6)


def test_more_images_in_a_batch_than_there_are_is_one_batch_of_all():
    x = images(n=6)
    assert_same_state(layer(batch_size=100).fit(x), layer(batch_size=6).fit(x))


def test_one_image_is_enough():
    assert np.isfinite(layer().fit(images(n=1)).loss_history_).all()


def test_no_epochs_leaves_the_initial_filters_and_no_history():
    made = layer(n_epochs=0, n_maps=50).fit(images())
    assert made.loss_history_ == []
    assert made.n_epochs_done_ == 0
    assert not made.encoder_bias_.any()
    assert not made.decoder_bias_.any()
    for filters in (made.encoder_filters_, made.decoder_filters_):
        assert filters.std() == pytest.approx(0.1, rel=0.1)  # 450 draws: 3 sigma


def test_the_first_step_is_minus_the_learning_rate_times_the_gradient():
    x = images(n=6)
    start = layer(n_epochs=0, dtype="float64").fit(x)
    after = layer(n_epochs=1, dtype="float64").fit(x)
    loss, gradients = start.loss_and_gradients(x)
    energy = np.mean(x.astype(np.float64) ** 2) * 3 * 3
    assert start.patch_energy_ == pytest.approx(energy)
    rates = {"decoder_bias": 0.01 / 56, "encoder_bias": 0.01 / 10}
    for name, gradient in gradients.items():
        rate = rates.get(name, 0.01 / energy)
        step = getattr(after, f"{name}_") - getattr(start, f"{name}_")
        np.testing.assert_allclose(step, -rate * gradient, rtol=1e-6, atol=1e-12)
    assert after.loss_history_ == [pytest.approx(loss)]


def rates_of(made, x, monkeypatch):
    """The learning rate of every step of `made.fit(x)`."""
    rates = []
    monkeypatch.setattr(SGD, "step", lambda self, gradients, rate: rates.append(rate))
    made.fit(x)
    return rates


def test_the_learning_rate_rises_over_the_warm_up_and_falls_on_a_line_to_zero(monkeypatch):
    made = layer(n_epochs=10, batch_size=2, learning_rate=1, warmup_steps=3)
    rates = rates_of(made, images(n=8), monkeypatch)
    assert len(rates) == 40
    falling = 1 - np.arange(40) / 40
    np.testing.assert_allclose(rates, falling * [0.25, 0.5, 0.75, *[1] * 37], rtol=1e-12)


def test_the_warm_up_takes_at_most_a_fifth_of_all_steps(monkeypatch):
    x = images(n=8)
    long, fifth, without = (
        rates_of(layer(n_epochs=10, batch_size=2, warmup_steps=steps), x, monkeypatch)
        for steps in (1000, 8, 0)
    )
    assert long == fifth
    assert long[8:] == without[8:]
    assert max(without) == without[0] == 0.01


def test_partial_fit_is_an_epoch_at_the_constant_rate_from_where_training_stands():
    x = images(n=18)
    made = layer().partial_fit(x)
    assert made.n_epochs_done_ == len(made.loss_history_) == 1
    first = made.encoder_filters_.copy()
    for _ in range(9):
        assert made.partial_fit(x) is made
    assert made.n_epochs_done_ == len(made.loss_history_) == 10
    assert made.loss_history_[-1] < made.loss_history_[0] / 2
    assert not np.array_equal(first, made.encoder_filters_)


def test_partial_fit_keeps_the_velocities():
    x = images(n=6)
    with_momentum, without = layer(momentum=0.9), layer(momentum=0.9)
    for made in (with_momentum, without):
        made.partial_fit(x)
    without._velocities = None
    assert_same_state(with_momentum, without)
    for made in (with_momentum, without):
        made.partial_fit(x)
    assert not np.array_equal(with_momentum.encoder_filters_, without.encoder_filters_)


def test_fit_begins_afresh_whatever_was_learned_before():
    made = layer().fit(images(seed=5))
    assert_same_state(made.fit(images()), layer().fit(images()))


@over_rules
@pytest.mark.parametrize("scale", [64, 1 / 1024])
def test_images_of_another_scale_give_the_same_filters_and_scaled_biases(rule, scale):
    one, other = (layer(**RULES[rule]).fit(factor * images()) for factor in (1, scale))
    assert np.abs(one.encoder_bias_).min() > 0
    # a power of two: every rounding is the same
    np.testing.assert_array_equal(other.encoder_filters_, one.encoder_filters_)
    np.testing.assert_array_equal(other.decoder_filters_, one.decoder_filters_)
    np.testing.assert_array_equal(other.encoder_bias_, scale * one.encoder_bias_)
    np.testing.assert_array_equal(other.decoder_bias_, scale * one.decoder_bias_)


def test_images_that_are_all_zero_are_learned_at_once():
    made = layer().fit(np.zeros((9, 1, 8, 7)))
    assert made.loss_history_ == [0, 0, 0]
    assert made.patch_energy_ == 1


# Images of any type, from anything that slices ----------------------------------------------


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


def test_images_in_any_memory_order_give_the_same(fitted, x):
    expected = fitted.transform(x)
    assert np.array_equal(fitted.transform(np.asfortranarray(x)), expected)
    wide = np.repeat(x, 2, axis=3)
    assert np.array_equal(fitted.transform(wide[:, :, :, ::2]), expected)


def test_a_read_only_memory_map_is_trained_on_as_if_it_were_in_memory(tmp_path):
    x = images(n=20)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert_same_state(layer().fit(mapped), layer().fit(x))
    assert np.array_equal(np.load(tmp_path / "x.npy"), x)


def test_training_reads_every_row_once_an_epoch_and_never_more_than_a_batch():
    x = Slices(images(n=20))
    made = layer(n_epochs=2, batch_size=6).fit(x)
    assert [len(rows) for rows in x.reads] == [6, 6, 6, 2] * 3
    for part in (x.reads[:4], x.reads[4:8], x.reads[8:]):
        assert sorted(np.concatenate(part)) == list(range(20))
    assert not all(np.array_equal(a, b) for a, b in zip(x.reads[4:8], x.reads[8:], strict=True))
    assert_same_state(made, layer(n_epochs=2, batch_size=6).fit(x.array))


@pytest.mark.parametrize(
    "method", ["transform", "feature_maps", "winners", "reconstruct", "usage", "score"]
)
def test_encoding_reads_a_batch_at_a_time_and_gives_what_the_array_gives(
    fitted, method, monkeypatch
):
    monkeypatch.setattr(encoding, "ENCODE_BATCH", 8)
    x = Slices(images(n=20, channels=2))
    chunked = getattr(fitted, method)(x)
    assert sorted({len(rows) for rows in x.reads}) == [4, 8]
    monkeypatch.undo()
    whole = getattr(fitted, method)(x.array)
    if method == "score":  # added up in another order
        assert chunked == pytest.approx(whole, rel=1e-12)
    else:
        np.testing.assert_array_equal(chunked, whole)


def test_partial_fit_reads_a_batch_at_a_time_too():
    x = Slices(images(n=20))
    made = layer(batch_size=6).partial_fit(x)
    assert [len(rows) for rows in x.reads] == [6, 6, 6, 2] * 2
    made.partial_fit(x)
    assert [len(rows) for rows in x.reads] == [6, 6, 6, 2] * 3


def test_measuring_many_images_reads_a_thousand_spread_over_all():
    x = Slices(np.random.default_rng(0).random((2500, 1, 2, 7), dtype=np.float32))
    made = layer(n_epochs=0, batch_size=100).fit(x)
    rows = np.concatenate(x.reads)
    assert (len(rows), rows[0], rows[-1]) == (1000, 0, 2499)
    assert np.diff(rows).max() == 3
    assert made.patch_energy_ == pytest.approx(np.mean(x.array[rows] ** 2) * 3 * 3, rel=1e-5)


# Encoding is what the reference computes ----------------------------------------------------


@pytest.mark.parametrize(("width", "stride"), [(3, 2), (5, 3), (1, 1), (2, 4), (20, 10)])
def test_features_have_the_ceiling_of_size_over_stride_and_the_references_values(
    fitted, x, width, stride
):
    made = layer(pool_width=width, pool_stride=stride, n_epochs=0).fit(x)
    vars(made).update({name: getattr(fitted, name) for name in PARAMETERS})
    features = made.transform(x)
    assert features.shape == (5, 4, -(-8 // stride), -(-7 // stride))
    expected = reference.encode_pooled(
        x, fitted.encoder_filters_, fitted.encoder_bias_, width, stride
    )
    assert_within(features, expected, encoder_bound(fitted, x).max())


def test_transform_fills_and_returns_out_whatever_floats_it_holds(fitted, x):
    features = fitted.transform(x)
    out = np.empty(features.shape, np.float16)
    assert fitted.transform(x, out=out) is out
    np.testing.assert_array_equal(out, features.astype(np.float16))


def test_fit_transform_is_fit_then_transform():
    x = images(n=9)
    features = layer().fit_transform(x)
    np.testing.assert_array_equal(features, layer().fit(x).transform(x))


def test_feature_maps_are_relu_of_the_correlation_with_the_encoder_filters(fitted, x):
    maps = fitted.feature_maps(x)
    expected = reference.relu(reference.conv2d(x, fitted.encoder_filters_, fitted.encoder_bias_))
    assert maps.min() == 0
    assert_within(maps, expected, encoder_bound(fitted, x))


def test_trained_filters_drop_into_another_librarys_correlation(fitted, x):
    maps = np.zeros((5, 4, 8, 7))
    for n, m, c in np.ndindex(5, 4, 2):
        maps[n, m] += correlate2d(
            x[n, c].astype(np.float64), fitted.encoder_filters_[m, c], mode="same"
        )
    maps = np.maximum(0, maps + fitted.encoder_bias_.reshape(-1, 1, 1))
    assert_within(fitted.feature_maps(x), maps, encoder_bound(fitted, x))


def test_winners_are_the_largest_units_of_the_feature_maps_under_any_rule(x):
    made = layer(sparsity="top-n", n_active=3).fit(x)
    values, positions = made.winners(x)
    maps = made.feature_maps(x).reshape(5, 4, -1)
    assert positions.dtype == np.int32
    np.testing.assert_array_equal(values, maps.max(axis=2))
    np.testing.assert_array_equal(positions, maps.argmax(axis=2))


def reference_code(made, x):
    """Values, positions and maps (or None) by the reference, for the rule of the layer."""
    arguments = x, made.encoder_filters_, made.encoder_bias_
    if made.sparsity == "winner-take-all":
        return *reference.encode_winners(*arguments), None
    encode = {"top-n": reference.encode_top_n, "k-largest": reference.encode_k_largest}
    return encode[made.sparsity](*arguments, made.n_active)


@over_rules
def test_reconstruct_is_the_references_decoding_of_the_survivors(rule, x):
    made = layer(**RULES[rule], n_epochs=4).fit(x)
    decoder = made.decoder_filters_, made.decoder_bias_
    if made.sparsity == "none":
        maps = reference.conv2d(x, made.encoder_filters_, made.encoder_bias_)
        rebuilt = reference.deconv2d(reference.relu(maps), *decoder)
    else:
        values, positions, maps = reference_code(made, x)
        rebuilt = reference.decode_winners(values, positions, *decoder, (8, 7), maps)
    # every unit wrong by the encoder's bound, pasted by at most m k k filter taps; then the sums
    m, _, k, _ = made.decoder_filters_.shape
    largest = np.abs(decoder[0]).max(axis=(0, 2, 3)).reshape(-1, 1, 1)
    sizes = reference.deconv2d(made.feature_maps(x), *map(np.abs, decoder))
    bound = m * k * k * largest * encoder_bound(made, x).max()
    bound = bound + rounding_bound(m * k * k + 1, sizes, np.float32)
    assert bound.max() < 1e-3 * np.abs(x).max()
    assert_within(made.reconstruct(x), rebuilt, bound)


def test_winners_put_through_the_references_decoder_are_the_reconstruction(fitted, x):
    rebuilt = reference.decode_winners(
        *fitted.winners(x), fitted.decoder_filters_, fitted.decoder_bias_, (8, 7)
    )
    np.testing.assert_allclose(fitted.reconstruct(x), rebuilt, rtol=0, atol=1e-5)


@over_rules
def test_score_is_minus_the_mean_squared_distance_of_the_reconstruction(rule, x):
    made = layer(**RULES[rule]).fit(x)
    distance = np.sum((made.reconstruct(x).astype(np.float64) - x) ** 2) / len(x)
    assert made.score(x) == pytest.approx(-distance, rel=1e-6)
    if rule != "lifetime":  # which the loss of a batch has and the score has not
        assert made.score(x) == pytest.approx(-made.loss_and_gradients(x)[0], rel=1e-6)


@over_rules
def test_usage_is_the_fraction_of_images_in_which_a_map_has_a_survivor(rule):
    x = images(n=10)
    x[0] = 0  # nothing survives there
    made = layer(**RULES[rule]).fit(x)
    made.encoder_bias_[:] = [0, -1e3, -0.2, -0.4]
    used = np.zeros((10, 4), bool)
    if made.sparsity in ("top-n", "k-largest"):
        values, _, maps = reference_code(made, x)
        for image, slot in zip(*np.nonzero(values), strict=True):
            used[image, maps[image, slot]] = True
    else:
        used = made.feature_maps(x).any(axis=(2, 3))
    usage = made.usage(x)
    np.testing.assert_array_equal(usage, used.mean(axis=0))
    assert usage[1] == 0
    assert usage.max() == 0.9


@pytest.mark.parametrize("factor", [0, 0.5, np.float64(2)])
def test_the_encoding_bias_is_a_factor_on_the_bias_of_features_and_maps_alone(x, factor):
    plain = layer().fit(x)
    plain.encoder_bias_[:] = [-0.2, 0.1, -0.1, 0.3]
    scaled = layer(encoding_bias=factor).fit(x)
    scaled.encoder_bias_[:] = plain.encoder_bias_
    by_hand = layer().fit(x)
    by_hand.encoder_bias_[:] = np.float32(factor) * plain.encoder_bias_
    for method in ("transform", "feature_maps"):
        found = getattr(scaled, method)(x)
        np.testing.assert_array_equal(found, getattr(by_hand, method)(x), strict=True)
        assert not np.array_equal(found, getattr(plain, method)(x))
    for method in ("winners", "reconstruct", "usage", "score"):
        np.testing.assert_array_equal(getattr(scaled, method)(x), getattr(plain, method)(x))


def test_changed_parameters_do_not_change_what_was_learned(fitted, x):
    features = fitted.transform(x)
    copy = layer(n_epochs=4).fit(images(channels=2)).set_params(dtype="float64", n_maps=9)
    np.testing.assert_array_equal(copy.transform(x), features, strict=True)


# Tied weights -------------------------------------------------------------------------------


def test_tied_filters_are_one_array_before_and_after_training_and_a_file(tmp_path):
    x = images(n=9)
    made = layer(tied=True).fit(x)
    assert made.decoder_filters_ is made.encoder_filters_
    made.save(tmp_path / "tied.npz")
    loaded = minisca.SparseConvAutoencoder.load(tmp_path / "tied.npz")
    assert loaded.decoder_filters_ is loaded.encoder_filters_
    for each in (made, loaded):
        each.partial_fit(x)
        assert each.decoder_filters_ is each.encoder_filters_
    assert_same_state(made, loaded)


def test_untied_filters_start_and_end_apart():
    for n_epochs in (0, 3):
        made = layer(n_epochs=n_epochs).fit(images(n=9))
        assert not np.array_equal(made.decoder_filters_, made.encoder_filters_)


# Files --------------------------------------------------------------------------------------


@over_rules
def test_a_saved_layer_comes_back_bit_for_bit_with_its_parameters(rule, tmp_path):
    x = images(n=9)
    made = layer(**RULES[rule]).fit(x)
    made.save(tmp_path / "layer.npz")
    loaded = minisca.SparseConvAutoencoder.load(tmp_path / "layer.npz")
    assert loaded.get_params() == made.get_params()
    assert_same_state(loaded, made)
    assert (loaded.n_channels_, loaded.image_size_, loaded.n_epochs_done_) == (1, (8, 7), 3)
    np.testing.assert_array_equal(loaded.transform(x), made.transform(x))


# The same every time ------------------------------------------------------------------------


@over_rules
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(rule):
    x = images(n=20)
    one, same, other = (layer(**{**RULES[rule], "random_state": s}).fit(x) for s in (3, 3, 4))
    assert_same_state(one, same)
    for name, value in learned(one).items():
        assert not np.array_equal(value, learned(other)[name])


def test_no_seed_is_different_every_time():
    one, other = (layer(random_state=None, n_epochs=0).fit(images(n=2)) for _ in range(2))
    assert not np.array_equal(one.encoder_filters_, other.encoder_filters_)


def test_training_does_not_touch_numpys_global_random_state():
    np.random.seed(0)  # noqa: NPY002 (the global generator is what must be left alone)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    layer().fit(images(n=6))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


HASH_OF_A_TRAINING = """
import hashlib, numba
from layers import RULES, images, layer, learned
assert numba.get_num_threads() == {threads}
for rule in {rules}:
    made = layer(**RULES[rule]).fit(images(n=20, channels=2))
    arrays = [*learned(made).values(), made.transform(images(n=5, channels=2))]
    print(rule, hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit():
    here = Path(__file__).parent
    printed = []
    for threads in (1, 3):
        code = HASH_OF_A_TRAINING.format(threads=threads, rules=sorted(RULES))
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
                "NUMBA_NUM_THREADS": str(threads),
                "OPENBLAS_NUM_THREADS": str(threads),
            },
            capture_output=True,
            check=True,
            text=True,
        )
        printed.append(result.stdout.split())
    assert len(printed[0]) == 2 * len(RULES)
    assert printed[0] == printed[1]


# What the constraint is for (paper section 2.1) ---------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return minisca.datasets.load_mnist_sample().train_images[:1000]


@pytest.mark.parametrize("seed", [0, 1])
def test_winner_take_all_uses_every_map_where_k_largest_leaves_most_of_them_dead(digits, seed):
    settings = {"n_maps": 16, "filter_width": 7, "n_epochs": 8, "batch_size": 50}
    settings |= {"learning_rate": 0.01, "init_scale": 0.01, "random_state": seed}
    winners = layer(**settings).fit(digits)
    # as many units survive, 16 an image; they need not be in different maps
    largest = layer(**settings, sparsity="k-largest", n_active=16).fit(digits)
    dead = 0.001
    assert np.sum(winners.usage(digits) < dead) == 0
    assert np.sum(largest.usage(digits) < dead) >= 12
    assert winners.score(digits) > largest.score(digits)


def whitened(images, epsilon=0.1):
    """Contrast normalisation, then ZCA over the pixels of an image."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat = (flat - flat.mean(axis=1, keepdims=True)) / flat.std(axis=1, keepdims=True)
    flat -= flat.mean(axis=0)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    flat = flat @ (vectors / np.sqrt(np.maximum(values, 0) + epsilon)) @ vectors.T
    return flat.reshape(images.shape).astype(np.float32)


def largest_tap_share(filters):
    """The share of each filter's energy that lies in its largest tap: 1 for a delta."""
    energy = filters.reshape(len(filters), -1) ** 2
    return energy.max(axis=1) / energy.sum(axis=1)


def test_without_the_constraint_filters_become_deltas_that_copy_the_image(digits):
    x = whitened(digits[:300, :, 7:20, 7:20])
    settings = {"n_maps": 8, "filter_width": 5, "n_epochs": 60, "batch_size": 30}
    winners = layer(**settings, learning_rate=0.025, init_scale=0.01).fit(x)
    every_unit = layer(**settings, learning_rate=0.01, init_scale=0.01, sparsity="none").fit(x)
    assert -every_unit.score(x) < 0.01 * variance(x)
    assert -winners.score(x) > 0.3 * variance(x)
    assert np.median(largest_tap_share(every_unit.encoder_filters_)) > 0.5
    assert np.median(largest_tap_share(winners.encoder_filters_)) < 0.3
