"""Whatever is wrong with a layer's images, an exception at the boundary says what."""

import copy
import re
import warnings

import numpy as np
import pytest

import minisca
from minisca import DivergenceError, NotFittedError
from tests.support.layers import RULES, Slices, assert_same_state, images, layer, refusal

X_METHODS = ("transform", "feature_maps", "winners", "reconstruct", "usage", "score")
X_METHODS += ("loss_and_gradients",)
FITS = ("fit", "partial_fit", "fit_transform")
over_methods = pytest.mark.parametrize("method", X_METHODS)
over_all = pytest.mark.parametrize("method", [*FITS, *X_METHODS])


@pytest.fixture(scope="module")
def fitted():
    return layer(n_epochs=1).fit(images(n=12))


@over_all
def test_bad_parameters_are_refused_by_every_method_before_an_image_is_read(method):
    x = Slices(images(n=6))
    made = layer(n_epochs=1).fit(x.array).set_params(pool_stride=0)
    assert "pool_stride is 0; it must be" in refusal(ValueError, getattr(made, method), x)
    assert x.reads == []


RANKS = [(12, 56), (8, 7), (), (6, 8, 7), (2, 3, 1, 8, 7)]
EMPTY = [(0, 1, 8, 7), (6, 0, 8, 7), (6, 1, 0, 7), (6, 1, 8, 0)]
NO_NUMBERS = ["complex64", "object", "U5", "S5", "M8[s]"]
SHAPE = "X has shape {}; it must be (n, channels, height, width)"
#: (images, error, what its message says)
BAD_IMAGES = [
    *((np.zeros(shape, np.float32), ValueError, SHAPE.format(shape)) for shape in RANKS),
    *((np.zeros(shape, np.float32), ValueError, f"{shape}; no side may be 0") for shape in EMPTY),
    *(
        (np.zeros((6, 1, 8, 7), dtype), TypeError, f"dtype {np.dtype(dtype)}; it must be a real nu")
        for dtype in NO_NUMBERS
    ),
    (None, ValueError, SHAPE.format(())),
    ("images", ValueError, SHAPE.format(())),
    ([[1, 2], [3]], ValueError, "X is a list that is no array"),
    ([[1, 2], [3, 4]], ValueError, SHAPE.format((2, 2))),
]


@over_all
@pytest.mark.parametrize(("x", "error", "message"), BAD_IMAGES, ids=lambda value: str(value)[-40:])
def test_what_is_no_array_of_images_is_refused(fitted, method, x, error, message):
    made = fitted if method in X_METHODS else layer()
    assert message in refusal(error, getattr(made, method), x)


@over_methods
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (images(6, channels=3), "X has 3 channels (shape (6, 3, 8, 7)); it must have 1, as in fit"),
        (images(6, height=7, width=8), "X has images of 7x8 pixels; they must be 8x7, as in fit"),
    ],
    ids=["channels", "size"],
)
def test_images_unlike_those_of_fit_are_refused(fitted, method, x, message):
    assert message in refusal(ValueError, getattr(fitted, method), x)


def test_partial_fit_on_other_channels_or_another_size_is_refused():
    made = layer().partial_fit(images(n=6))
    assert "X has 2 chann" in refusal(ValueError, made.partial_fit, images(n=6, channels=2))
    assert "X has images of 8x9" in refusal(ValueError, made.partial_fit, images(n=6, width=9))
    assert made.n_epochs_done_ == 1


@over_all
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_refused_naming_the_image(fitted, method, value):
    made = fitted if method in X_METHODS else layer()
    x = images(n=12)
    x[7, 0, 3, 2] = value
    message = refusal(ValueError, getattr(made, method), x)
    assert f"X has the value {value} in image 7; every pixel must be finite (no NaN" in message


def test_the_image_is_counted_from_the_first_of_all_not_of_its_batch(fitted, monkeypatch):
    monkeypatch.setattr(minisca.encoding, "ENCODE_BATCH", 5)
    x = images(n=12)
    x[11, 0, 0, 0] = np.nan
    assert "the value nan in image 11" in refusal(ValueError, fitted.transform, x)


def test_a_pixel_too_large_for_float32_is_refused_with_its_value_and_computed_in_float64(fitted):
    x = images(n=12).astype(np.float64)
    wide = layer(dtype="float64", n_epochs=0).fit(x)
    x[7, 0, 3, 2] = 1e300
    for method in (layer().fit, fitted.transform):
        assert re.search(r"value 1e\+300 in image 7;.*float32", refusal(ValueError, method, x))
    assert np.isfinite(wide.transform(x)).all()
    message = "X has values whose squares are too large for float64; scale it down"
    assert message in refusal(ValueError, wide.fit, x)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((12, 4, 4, 5)), ValueError, "shape (12, 4, 4, 5); it must be (12, 4, 4, 4)"),
        (np.empty((12, 4, 4, 4), int), TypeError, "is of int64; it must be an array of floating"),
        ([1.0], TypeError, "out is of list; it must be an array of floating-point numbers"),
    ],
    ids=["shape", "integers", "list"],
)
def test_an_out_that_cannot_take_the_features_is_refused(fitted, out, error, message):
    assert message in refusal(error, fitted.transform, images(n=12), out=out)


# Not fitted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*X_METHODS, "save"])
def test_an_unfitted_layer_says_so_whatever_else_is_wrong(method, tmp_path):
    argument = tmp_path / "layer.npz" if method == "save" else "no images"
    message = "this SparseConvAutoencoder is not fitted yet; call fit(X)"
    for made in (layer(), layer(n_maps=-1, sparsity="?")):
        assert message in refusal(NotFittedError, getattr(made, method), argument)
    assert not (tmp_path / "layer.npz").exists()


def test_what_is_learned_is_neither_read_nor_written_before_fit():
    made = layer()
    for name in ("encoder_filters_", "loss_history_", "n_channels_", "backend_"):
        assert not hasattr(made, name)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        made.encoder_filters_ = np.zeros((4, 1, 3, 3))
    # as scikit-learn's own
    assert issubclass(NotFittedError, ValueError)
    assert issubclass(NotFittedError, AttributeError)


@pytest.mark.parametrize(
    "x",
    [images(n=6)[0], images(n=6).astype(complex), np.full((6, 1, 8, 7), np.nan)],
    ids=["rank", "dtype", "value"],
)
@pytest.mark.parametrize("method", FITS[:2])
def test_a_refused_fit_leaves_what_was_learned_before(x, method):
    made = layer(n_epochs=1).fit(images(n=6))
    before = copy.deepcopy(made)
    with pytest.raises((ValueError, TypeError), match="X has"):
        getattr(made, method)(x)
    assert_same_state(made, before)


# A loss that stops being finite -----------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("learning_rate", [1e8, 1e20, 1e38])
def test_divergence_in_the_first_epoch_leaves_the_initial_filters(rule, learning_rate):
    assert issubclass(DivergenceError, ArithmeticError)
    x = images(n=20)
    made = layer(**{**RULES[rule], "learning_rate": learning_rate})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = refusal(DivergenceError, made.fit, x)
    assert "in epoch 1, batch " in message
    assert f"lower learning_rate, which is {learning_rate:g}. The filters are those aft" in message
    assert message.endswith("after epoch 0")
    assert_same_state(made, layer(**RULES[rule]).set_params(n_epochs=0).fit(x))
    assert (made.loss_history_, made.n_epochs_done_) == ([], 0)


def test_divergence_in_a_later_epoch_leaves_everything_as_after_the_last_good_one():
    x = images(n=20)
    made = layer().fit(x)
    before = copy.deepcopy(made)
    message = refusal(DivergenceError, made.partial_fit, x * np.float32(1e18))
    assert "in epoch 4, batch " in message
    assert "lower learning_rate, which is 0.01. The filters are those after epoch 3" in message
    assert_same_state(made, before)
    assert made.n_epochs_done_ == 3
    # velocities and random state too: both go on alike
    assert_same_state(made.partial_fit(x), before.partial_fit(x))
    assert made.loss_history_[-1] < made.loss_history_[0]


def test_a_pass_over_brighter_images_is_held_against_their_own_squares():
    """Whose mean loss is beyond ten times the first images' squares, and is no divergence."""
    x = images(n=20)
    made = layer(learning_rate=1e-9).fit(x)
    made.partial_fit(100 * x)
    own = np.square(100.0 * x).sum() / len(x)
    assert made.loss_history_[-1] == pytest.approx(own, rel=0.5)
    assert made.loss_history_[-1] > 1000 * made.loss_history_[0]
    # the same loss of darker images is one
    made.decoder_bias_ = 100 * np.ones_like(made.decoder_bias_)
    message = refusal(DivergenceError, made.partial_fit, x)
    assert "is more than 10 times the images' own squares, " in message


@pytest.mark.parametrize(("scale", "how"), [(1e200, "too large"), (1e-200, "too small")])
def test_a_later_pass_is_refused_where_float64_does_not_hold_the_squares(scale, how):
    x = images(n=12).astype(np.float64)
    made = layer(dtype="float64", n_epochs=1).fit(x)
    assert f"X has values whose squares are {how} for" in refusal(
        ValueError, made.partial_fit, scale * x
    )


def test_filters_that_overflow_in_the_last_step_of_an_epoch_are_noticed():
    x = images(n=6)  # one batch: the loss is taken before its step, and is fine
    made = layer(learning_rate=1e300, n_epochs=1)
    message = refusal(DivergenceError, made.fit, x)
    assert "the parameters stopped being finite in epoch 1" in message
    assert np.isfinite(made.encoder_filters_).all()
