"""The gradients of the whole autoencoder are the derivatives of its loss, under every rule.

In float64, `SparseConvAutoencoder.loss_and_gradients` against finite differences of its own loss,
and against the dense path of the reference, which stores every map.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest

import reference.autoencoder
from minisca.backends import get_backend
from minisca.sparsity import make_sparsity
from minisca.training import objective
from minisca.training.images import squared_norm
from tests.support.helpers import EPSILON, check_gradient
from tests.support.layers import RULES, layer, over_rules

# n, c, h, w, m, k
SHAPES = [(4, 1, 5, 7, 3, 3), (3, 2, 4, 7, 3, 5)]
SMALL = (2, 2, 2, 7, 2, 3)
CASES = [(shape, False) for shape in SHAPES] + [(SMALL, True)]
over_shapes = pytest.mark.parametrize(
    ("shape", "every_coordinate"),
    CASES,
    ids=["x".join(map(str, shape)) + "-coordinates" * every for shape, every in CASES],
)

STEP = 2.0**-10  # stays below the distances between units, as in the gradient tests of operations


def drawn(shape, rule, seed=0):
    """Images, and a float64 layer whose parameters are normal and no special case of anything."""
    n, c, h, w, m, k = shape
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, c, h, w))
    made = layer(**RULES[rule], n_maps=m, filter_width=k, n_epochs=0, dtype="float64").fit(x)
    for array in parameters(made):
        array[...] = rng.standard_normal(array.shape)
    return made, x


def names(layer):
    """What is trained: with tied filters there is no "decoder_filters"."""
    return list(layer.state_.parameters)


def parameters(layer):
    return list(layer.state_.parameters.values())


def loss_at(layer, x, values):
    """Loss and survivors with these parameters in place of the layer's own."""
    moved = copy.copy(layer)
    moved.state_ = replace(layer.state_, parameters=dict(zip(names(layer), values, strict=True)))
    return moved.loss_and_gradients(x)[0], survivors(moved, x)


def survivors(layer, x):
    """Which units survive, in any form that changes when they do."""
    if layer.sparsity == "none":
        return layer.feature_maps(x) > 0
    rule = make_sparsity(layer.sparsity, layer.n_active, layer.lifetime)
    code = rule.encode(get_backend("cpu"), x, layer.encoder_filters_, layer.encoder_bias_)
    return np.stack([code.values > 0, code.positions, *([] if code.maps is None else [code.maps])])


def every_unit(maps):
    return np.ones(maps.shape)


def dense_magnitude(layer, x):
    """The loss with every term positive and every unit surviving: S of the error analysis."""

    def magnitude(*sizes):
        sizes = dict(zip(names(layer), sizes, strict=True))
        decoder = sizes.get("decoder_filters", sizes["encoder_filters"])
        return reference.autoencoder.loss_and_gradients(
            np.abs(x),
            *(sizes["encoder_filters"], sizes["encoder_bias"]),
            *(-decoder, -sizes["decoder_bias"]),
            every_unit,
        )[0]

    return magnitude


def roundings(shape, x):
    """The convolution, the decoder, the difference and its square, the sum and the mean."""
    _, c, _, _, m, k = shape
    return 2 * (c * k * k + 1 + m * k * k + 1 + 1) + 1 + x.size + 1


@over_rules
@over_shapes
def test_the_gradients_of_a_layer_are_the_derivatives_of_its_loss(rule, shape, every_coordinate):
    made, x = drawn(shape, rule)
    _, gradients = made.loss_and_gradients(x)
    assert sorted(gradients) == sorted(names(made))

    def check(factor):
        check_gradient(
            lambda *values: loss_at(made, x, values),
            dense_magnitude(made, x),
            [array.copy() for array in parameters(made)],
            [gradients[name] * factor for name in names(made)],
            roundings(shape, x),
            step=STEP,
            every_coordinate=every_coordinate,
        )

    check(1)
    if shape == SHAPES[0]:  # one part in a million is noticed
        with pytest.raises(AssertionError):
            check(1 + 1e-6)


def assert_same_gradients(layer, x, loss, gradients, shape):
    """Loss and gradients as these, up to the rounding of sums taken in another order.

    Both sides are wrong by at most r eps S / 2; that holds of gradients with S taken at the
    absolute parameters plus 2, as in `check_gradient`.
    """
    sizes = [np.abs(array) + 2 for array in parameters(layer)]
    bound = EPSILON * roundings(shape, x) * dense_magnitude(layer, x)(*sizes)
    found_loss, found = layer.loss_and_gradients(x)
    assert abs(found_loss - loss) <= bound
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(found[name], gradient, rtol=0, atol=bound, err_msg=name)


@pytest.mark.parametrize(
    ("rule", "survive"),
    [("winner-take-all", reference.autoencoder.winner_mask), ("none", every_unit)],
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_loss_and_gradients_are_those_of_the_dense_path_of_the_reference(rule, survive, shape):
    made, x = drawn(shape, rule)
    loss, gradients = reference.autoencoder.loss_and_gradients(x, *parameters(made), survive)
    gradients = dict(zip(names(made), gradients, strict=True))
    assert_same_gradients(made, x, loss, gradients, shape)


def test_tied_gradients_are_the_sum_of_the_encoders_and_the_decoders():
    shape = SHAPES[1]
    tied, x = drawn(shape, "tied")
    untied, _ = drawn(shape, "winner-take-all")
    for name in ("encoder_filters", "encoder_bias", "decoder_bias"):
        getattr(untied, f"{name}_")[...] = getattr(tied, f"{name}_")
    untied.decoder_filters_[...] = tied.encoder_filters_
    loss, gradients = untied.loss_and_gradients(x)
    gradients["encoder_filters"] += gradients.pop("decoder_filters")
    assert_same_gradients(tied, x, loss, gradients, shape)


@pytest.mark.parametrize(
    ("rule", "other"),
    [
        ("none", {"sparsity": "top-n", "n_active": 5 * 7 + 9}),
        ("none", {"sparsity": "k-largest", "n_active": 3 * 5 * 7}),
        ("winner-take-all", {"sparsity": "top-n", "n_active": 1}),
        ("winner-take-all", {"lifetime": 1.0}),
    ],
    ids=str,
)
def test_a_rule_at_its_end_is_the_other_rule_there(rule, other):
    made, x = drawn(SHAPES[0], rule)
    loss, gradients = made.loss_and_gradients(x)
    made.set_params(**other)
    assert_same_gradients(made, x, loss, gradients, SHAPES[0])


def test_lifetime_sparsity_keeps_the_largest_winners_of_each_map_over_the_images():
    made, x = drawn(SHAPES[0], "lifetime")
    values, positions = made.winners(x)
    median = np.sort(values, axis=0)[-2]  # half of four images
    x_hat = reference.decode_winners(
        np.where(values >= median, values, 0),
        *(positions, made.decoder_filters_, made.decoder_bias_, x.shape[2:]),
    )
    loss, _ = made.loss_and_gradients(x)
    assert loss == pytest.approx(np.sum((x_hat - x) ** 2) / len(x), rel=1e-12)


# not lifetime sparsity, where what survives depends on the other images
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "lifetime"])
def test_loss_and_gradients_are_means_over_the_images(rule):
    made, x = drawn(SHAPES[0], rule)
    each = [made.loss_and_gradients(x[i : i + 1]) for i in range(len(x))]
    gradients = {name: np.mean([g[name] for _, g in each], axis=0) for name in names(made)}
    assert_same_gradients(made, x, np.mean([loss for loss, _ in each]), gradients, SHAPES[0])


@pytest.mark.parametrize("images_a_chunk", [1, 3])
def test_the_dense_path_in_chunks_gives_what_it_gives_in_one(images_a_chunk, monkeypatch):
    shape = SHAPES[0]
    made, x = drawn(shape, "none")
    loss, gradients = made.loss_and_gradients(x)
    rebuilt = made.reconstruct(x)
    sizes = []
    conv2d = get_backend("cpu").conv2d
    monkeypatch.setattr(
        get_backend("cpu"), "conv2d", lambda x, *rest: sizes.append(len(x)) or conv2d(x, *rest)
    )
    monkeypatch.setattr(objective, "DENSE_BYTES", images_a_chunk * 3 * 5 * 7 * 8)
    assert_same_gradients(made, x, loss, gradients, shape)
    assert sizes == {1: [1, 1, 1, 1], 3: [3, 1]}[images_a_chunk]
    np.testing.assert_array_equal(made.reconstruct(x), rebuilt)


def test_the_squared_error_is_finite_wherever_float32_errors_are():
    assert squared_norm(np.float32([1e30, -1e30])) == pytest.approx(2e60)
