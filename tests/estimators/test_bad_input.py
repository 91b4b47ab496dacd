"""Whatever is wrong with a layer's arguments or images, an exception at the boundary says what."""

import warnings

import numpy as np
import pytest

import minisca
from minisca import DivergenceError, NotFittedError
from tests.support.layers import RULES, Slices, images, layer, learned, one_thread  # noqa: F401

X_METHODS = (
    *("transform", "feature_maps", "winners", "reconstruct", "usage", "score"),
    *("loss_and_gradients",),
)
over_methods = pytest.mark.parametrize("method", X_METHODS)
FITS = ("fit", "partial_fit", "fit_transform")


@pytest.fixture(scope="module")
def fitted():
    return layer(n_epochs=1).fit(images(n=12))


def assert_refused(error, call, *parts):
    """`call()` raises exactly this error, and its message has all these parts."""
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error
    for part in parts:
        assert part in str(caught.value)


# Parameters -----------------------------------------------------------------------------------

COUNTS_FROM_0 = ("n_epochs", "warmup_steps")
COUNTS = ("n_maps", "pool_width", "pool_stride", "batch_size", "filter_width", *COUNTS_FROM_0)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [True, 3.0, "3", None, np.array([3])], ids=repr)
def test_a_count_that_is_no_integer_is_refused(name, value):
    made = layer(**{name: value})
    assert_refused(
        TypeError, lambda: made.fit(images(n=6)), f"{name} is {value!r}; it must be an ", "integer"
    )


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1])
def test_a_count_below_one_is_refused_but_no_epochs_and_no_warm_up_are_fine(name, value):
    made = layer(**{name: value})
    least = 0 if name in COUNTS_FROM_0 else 1
    if value == least:
        assert made.fit(images(n=6)).n_epochs_done_ == made.n_epochs
    else:
        assert_refused(
            ValueError, lambda: made.fit(images(n=6)), f"{name} is {value};", f"at least {least}"
        )


def test_an_even_filter_width_is_refused():
    assert_refused(
        ValueError,
        lambda: layer(filter_width=4).fit(images(n=6)),
        "filter_width is 4; it must be an odd integer of at least 1",
    )


@pytest.mark.parametrize(
    ("name", "value", "interval"),
    [
        ("learning_rate", 0, "(0, inf)"),
        ("learning_rate", -0.1, "(0, inf)"),
        ("learning_rate", np.nan, "(0, inf)"),
        ("learning_rate", np.inf, "(0, inf)"),
        ("momentum", 1, "[0, 1)"),
        ("momentum", 1.5, "[0, 1)"),
        ("momentum", -0.1, "[0, 1)"),
        ("encoding_bias", -0.5, "[0, inf)"),
        ("encoding_bias", np.inf, "[0, inf)"),
        ("init_scale", 0, "(0, inf)"),
        ("init_scale", -1, "(0, inf)"),
        ("lifetime", 0, "(0, 1]"),
        ("lifetime", 1.01, "(0, 1]"),
        ("lifetime", np.nan, "(0, 1]"),
    ],
)
def test_a_number_outside_its_interval_is_refused(name, value, interval):
    made = layer(**{name: value})
    assert_refused(
        ValueError,
        lambda: made.fit(images(n=6)),
        f"{name} is {value}; it must be a number in {interval}",
    )


NUMBERS = ("learning_rate", "momentum", "init_scale", "lifetime", "encoding_bias")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [True, "0.1", [0.1], 0.1j])
def test_what_is_no_number_is_refused(name, value):
    made = layer(**{name: value})
    assert_refused(
        TypeError, lambda: made.fit(images(n=6)), f"{name} is {value!r}; it must be a number in "
    )


@pytest.mark.parametrize("momentum", [0, 0.0, np.float32(0.5), 0.999])
def test_numbers_within_their_intervals_are_fine(momentum):
    assert layer(momentum=momentum, n_epochs=1).fit(images(n=6)).momentum is momentum


@pytest.mark.parametrize(
    ("name", "value", "choices"),
    [
        ("sparsity", "winner_take_all", "'winner-take-all', 'top-n', 'k-largest', 'none'"),
        ("sparsity", None, "'winner-take-all', 'top-n', 'k-largest', 'none'"),
        ("sparsity", ["none"], "'winner-take-all', 'top-n', 'k-largest', 'none'"),
        ("sparsity", np.array(["none", "top-n"]), "'winner-take-all', 'top-n'"),
        ("schedule", "step", "'linear', 'constant'"),
        ("schedule", None, "'linear', 'constant'"),
        ("dtype", "float16", "'float32', 'float64'"),
        ("dtype", np.float32, "'float32', 'float64'"),
        ("dtype", np.dtype("float32"), "'float32', 'float64'"),
        ("backend", "tpu", "'auto', 'cpu'"),
        ("backend", None, "'auto', 'cpu'"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(name, value, choices):
    made = layer(**{name: value})
    assert_refused(
        ValueError, lambda: made.fit(images(n=6)), f"{name} is {value!r}; it must be one of"
    )
    assert_refused(ValueError, lambda: made.fit(images(n=6)), choices)


@pytest.mark.parametrize("name", ["tied", "normalise_filters"])
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_flag_is_true_or_false(name, value):
    assert_refused(
        TypeError,
        lambda: layer(**{name: value}).fit(images(n=6)),
        f"{name} is {value!r}; it must be True or False",
    )


@pytest.mark.parametrize("value", ["0", 1.5, True, np.random.default_rng(0)], ids=str)
def test_a_random_state_that_is_no_integer_is_refused(value):
    assert_refused(
        TypeError,
        lambda: layer(random_state=value).fit(images(n=6)),
        f"random_state is {value!r}; it must be an integer of at least 0",
    )


def test_a_negative_random_state_is_refused():
    assert_refused(
        ValueError,
        lambda: layer(random_state=-1).fit(images(n=6)),
        "random_state is -1; it must be an integer of at least 0",
    )


@pytest.mark.parametrize(("rule", "per"), [("top-n", "map"), ("k-largest", "image")])
def test_a_rule_that_counts_needs_n_active(rule, per):
    assert_refused(
        ValueError,
        lambda: layer(sparsity=rule).fit(images(n=6)),
        f"n_active is None; sparsity='{rule}' needs the number of units that survive in",
        f"every {per}",
    )
    assert_refused(
        ValueError,
        lambda: layer(sparsity=rule, n_active=0).fit(images(n=6)),
        "n_active is 0; it must be an integer of at least 1",
    )
    assert_refused(
        TypeError,
        lambda: layer(sparsity=rule, n_active=0.5).fit(images(n=6)),
        "n_active is 0.5; it must be an integer of at least 1",
    )


@pytest.mark.parametrize("rule", ["winner-take-all", "none"])
def test_n_active_out_of_place_is_refused(rule):
    assert_refused(
        ValueError,
        lambda: layer(sparsity=rule, n_active=1).fit(images(n=6)),
        "n_active is 1; it must be None unless sparsity is 'top-n' or 'k-largest'",
    )


@pytest.mark.parametrize("rule", [RULES["top-n"], RULES["k-largest"], RULES["none"]])
def test_lifetime_out_of_place_is_refused(rule):
    assert_refused(
        ValueError,
        lambda: layer(**rule, lifetime=0.5).fit(images(n=6)),
        "lifetime is 0.5; it must be None unless sparsity is 'winner-take-all'",
    )


@pytest.mark.parametrize("rule", ["top-n", "k-largest"])
def test_more_survivors_than_units_leave_the_rest_of_their_slots_silent(rule):
    x = images(n=6)
    made = layer(sparsity=rule, n_active=4 * 8 * 7 + 10).fit(x)
    np.testing.assert_array_equal(made.usage(x), made.feature_maps(x).any(axis=(2, 3)).mean(axis=0))


@pytest.mark.parametrize("method", [*FITS, *X_METHODS])
def test_bad_parameters_are_refused_by_every_method_before_an_image_is_read(method):
    x = Slices(images(n=6))
    made = layer(n_epochs=1).fit(x.array).set_params(pool_stride=0)
    assert_refused(ValueError, lambda: getattr(made, method)(x), "pool_stride is 0; it must be")
    assert x.reads == []


# Images -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*FITS, *X_METHODS])
@pytest.mark.parametrize("shape", [(12, 56), (8, 7), (), (6, 8, 7), (2, 3, 1, 8, 7)])
def test_images_of_another_rank_are_refused(fitted, method, shape):
    made = fitted if method in X_METHODS else layer()
    assert_refused(
        ValueError,
        lambda: getattr(made, method)(np.zeros(shape, np.float32)),
        f"X has shape {shape}; it must be (n, channels, height, width)",
    )


@pytest.mark.parametrize("method", [*FITS, *X_METHODS])
@pytest.mark.parametrize("shape", [(0, 1, 8, 7), (6, 0, 8, 7), (6, 1, 0, 7), (6, 1, 8, 0)])
def test_empty_images_are_refused(fitted, method, shape):
    made = fitted if method in X_METHODS else layer()
    assert_refused(
        ValueError,
        lambda: getattr(made, method)(np.zeros(shape, np.float32)),
        f"X has shape {shape}; no side may be 0",
    )


@pytest.mark.parametrize("method", [*FITS, *X_METHODS])
@pytest.mark.parametrize("dtype", ["complex64", "object", "U5", "S5", "M8[s]"])
def test_images_of_what_are_no_real_numbers_are_refused(fitted, method, dtype):
    made = fitted if method in X_METHODS else layer()
    x = np.zeros((6, 1, 8, 7), dtype)
    assert_refused(
        TypeError,
        lambda: getattr(made, method)(x),
        f"X has dtype {x.dtype}; it must be a real number type",
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (None, "X has shape (); it must be (n, channels, height, width)"),
        ("images", "X has shape (); it must be (n, channels, height, width)"),
        ([[1, 2], [3]], "X is a list that is no array"),
        ([[1, 2], [3, 4]], "X has shape (2, 2); it must be (n, channels, height, width)"),
    ],
)
def test_what_is_no_array_is_refused(fitted, x, message):
    assert_refused(ValueError, lambda: layer().fit(x), message)
    assert_refused(ValueError, lambda: fitted.transform(x), message)


@over_methods
def test_another_number_of_channels_than_in_fit_is_refused(fitted, method):
    assert_refused(
        ValueError,
        lambda: getattr(fitted, method)(images(n=6, channels=3)),
        "X has 3 channels (shape (6, 3, 8, 7)); it must have 1, as in fit",
    )


@over_methods
def test_images_of_another_size_than_in_fit_are_refused(fitted, method):
    assert_refused(
        ValueError,
        lambda: getattr(fitted, method)(images(n=6, height=7, width=8)),
        "X has images of 7x8 pixels; they must be 8x7, as in fit",
    )


def test_partial_fit_on_other_channels_or_another_size_is_refused():
    made = layer().partial_fit(images(n=6))
    assert_refused(ValueError, lambda: made.partial_fit(images(n=6, channels=2)), "X has 2 chann")
    assert_refused(
        ValueError, lambda: made.partial_fit(images(n=6, width=9)), "X has images of 8x9"
    )
    assert made.n_epochs_done_ == 1


@pytest.mark.parametrize("method", [*FITS, *X_METHODS])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_refused_naming_the_image(fitted, method, value):
    made = fitted if method in X_METHODS else layer()
    x = images(n=12)
    x[7, 0, 3, 2] = value
    assert_refused(
        ValueError,
        lambda: getattr(made, method)(x),
        f"X has the value {value} in image 7; every pixel must be finite (no NaN, no infinity)",
    )


def test_the_image_is_counted_from_the_first_of_all_not_of_its_batch(fitted, monkeypatch):
    monkeypatch.setattr(minisca.encoding, "ENCODE_BATCH", 5)
    x = images(n=12)
    x[11, 0, 0, 0] = np.nan
    assert_refused(ValueError, lambda: fitted.transform(x), "the value nan in image 11")


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_a_pixel_too_large_for_float32_is_refused_with_its_value_and_no_warning(fitted, method):
    made = fitted if method == "transform" else layer()
    x = images(n=12).astype(np.float64)
    x[7, 0, 3, 2] = 1e300
    assert_refused(
        ValueError, lambda: getattr(made, method)(x), "X has the value 1e+300 in image 7", "float32"
    )


def test_a_pixel_too_large_for_float32_is_encoded_in_float64():
    x = images(n=12).astype(np.float64)
    made = layer(dtype="float64", n_epochs=0).fit(x)
    x[7, 0, 3, 2] = 1e300
    assert np.isfinite(made.transform(x)).all()
    assert_refused(
        ValueError,
        lambda: layer(dtype="float64").fit(x),
        "X has values whose squares are too large for float64; scale it down",
    )


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (
            np.empty((12, 4, 4, 5)),
            ValueError,
            "out has shape (12, 4, 4, 5); it must be (12, 4, 4, 4)",
        ),
        (
            np.empty((12, 4, 4, 4), int),
            TypeError,
            "out is of int64; it must be an array of floating",
        ),
        ([1.0], TypeError, "out is of list; it must be an array of floating-point numbers"),
    ],
    ids=["shape", "integers", "list"],
)
def test_an_out_that_cannot_take_the_features_is_refused(fitted, out, error, message):
    assert_refused(error, lambda: fitted.transform(images(n=12), out=out), message)


# Not fitted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*X_METHODS, "save"])
def test_an_unfitted_layer_says_so_whatever_else_is_wrong(method, tmp_path):
    argument = tmp_path / "layer.npz" if method == "save" else "no images"
    for made in (layer(), layer(n_maps=-1, sparsity="?")):
        assert_refused(
            NotFittedError,
            lambda made=made: getattr(made, method)(argument),
            "this SparseConvAutoencoder is not fitted yet; call fit(X)",
        )
    assert not (tmp_path / "layer.npz").exists()


def test_not_fitted_is_a_value_error_and_an_attribute_error_as_in_scikit_learn():
    assert issubclass(NotFittedError, ValueError)
    assert issubclass(NotFittedError, AttributeError)


@pytest.mark.parametrize(
    "x",
    [images(n=6)[0], images(n=6).astype(complex), np.full((6, 1, 8, 7), np.nan)],
    ids=["rank", "dtype", "value"],
)
def test_a_refused_fit_leaves_what_was_learned_before(x):
    made = layer(n_epochs=1).fit(images(n=6))
    before = {name: value.copy() for name, value in learned(made).items()}
    with pytest.raises((ValueError, TypeError), match="X has"):
        made.fit(x)
    for name, value in learned(made).items():
        np.testing.assert_array_equal(value, before[name])


# A loss that stops being finite -----------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("learning_rate", [1e8, 1e20, 1e38])
def test_divergence_in_the_first_epoch_leaves_the_initial_filters(rule, learning_rate):
    x = images(n=20)
    made = layer(**{**RULES[rule], "learning_rate": learning_rate})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_refused(
            DivergenceError,
            lambda: made.fit(x),
            "in epoch 1, batch ",
            f"lower learning_rate, which is {learning_rate:g}",
            "The filters are those after epoch 0",
        )
    initial = layer(**RULES[rule]).set_params(n_epochs=0).fit(x)
    for name, value in learned(made).items():
        np.testing.assert_array_equal(value, learned(initial)[name])
    assert (made.loss_history_, made.n_epochs_done_) == ([], 0)


def test_divergence_in_a_later_epoch_leaves_the_filters_of_the_last_good_one():
    x = images(n=20)
    huge = x * np.float32(1e18)
    made = layer().fit(x)
    before = {name: value.copy() for name, value in learned(made).items()}
    assert_refused(
        DivergenceError,
        lambda: made.partial_fit(huge),
        "in epoch 4, batch ",
        "lower learning_rate, which is 0.01",
        "The filters are those after epoch 3",
    )
    for name, value in learned(made).items():
        np.testing.assert_array_equal(value, before[name])
    assert made.n_epochs_done_ == 3
    made.partial_fit(x)
    assert made.loss_history_[-1] < made.loss_history_[0]


def test_filters_that_overflow_in_the_last_step_of_an_epoch_are_noticed():
    x = images(n=6)  # one batch: the loss is taken before its step, and is fine
    made = layer(learning_rate=1e300, n_epochs=1)
    assert_refused(
        DivergenceError, lambda: made.fit(x), "the parameters stopped being finite in epoch 1"
    )
    assert np.isfinite(made.encoder_filters_).all()


def test_a_loss_beyond_the_range_of_float32_is_no_finite_loss():
    x = images(n=6) * np.float32(1e19)
    assert_refused(
        DivergenceError, lambda: layer().fit(x), "the loss became ", "in epoch 1, batch 1"
    )
    assert np.isfinite(layer(dtype="float64").fit(x).loss_history_).all()


def test_divergence_is_an_arithmetic_error():
    assert issubclass(DivergenceError, ArithmeticError)
