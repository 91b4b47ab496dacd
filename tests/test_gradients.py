"""Every written-out backward pass is the derivative of its forward pass.

In float64, against finite differences that run the whole forward pass again, selection included:
along random directions and, on small cases, in every coordinate.
"""

import numpy as np
import pytest

import reference
from reference.autoencoder import loss_and_gradients, winner_mask
from tests.support.helpers import check_gradient, derivative_along, spaced

# n, c, h, w, m, k; the last but one: one pixel; the last: narrower than its filters
SHAPES = [(2, 1, 6, 7, 3, 3), (1, 2, 4, 7, 2, 5), (2, 3, 1, 1, 1, 1), (3, 2, 2, 7, 5, 9)]
SMALL = (1, 2, 2, 7, 2, 3)
# Where units are selected the step stays below the distances between them.
SELECTION_STEP = 2.0**-10


def over_shapes(test):
    """Run `test` along random directions over SHAPES, and in every coordinate of SMALL."""
    cases = [(shape, False) for shape in SHAPES] + [(SMALL, True)]
    ids = ["x".join(map(str, shape)) + "-coordinates" * every for shape, every in cases]
    return pytest.mark.parametrize(("shape", "every_coordinate"), cases, ids=ids)(test)


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def no_selection(operation, weights):
    """The loss <weights, operation(...)> of an operation that selects nothing."""
    return lambda *arguments: (np.vdot(weights, operation(*arguments)), None)


@pytest.mark.parametrize("name", ["conv2d", "deconv2d"])
@over_shapes
def test_the_backward_pass_of_a_convolution_is_its_derivative(
    operations, name, shape, every_coordinate
):
    n, c, h, w, m, k = shape
    given, made = ((n, c, h, w), (n, m, h, w))[:: 1 if name == "conv2d" else -1]
    x, filters, bias, weights = draw(given, (m, c, k, k), made[1], made)
    check_gradient(
        no_selection(getattr(operations, name), weights),
        lambda *sizes: np.vdot(np.abs(weights), getattr(reference, name)(*sizes)),
        [x, filters, bias],
        getattr(operations, f"{name}_backward")(x, filters, weights),
        roundings=given[1] * k * k + 1 + weights.size,
        every_coordinate=every_coordinate,
    )


@pytest.mark.parametrize("every_coordinate", [False, True])
def test_linear_backward_is_the_derivative_of_linear(operations, every_coordinate):
    n, f, n_classes = 4, 7, 3
    features, weights, intercept, d_scores = draw((n, f), (n_classes, f), n_classes, (n, n_classes))
    check_gradient(
        no_selection(lambda *parameters: operations.linear(features, *parameters), d_scores),
        lambda *sizes: np.vdot(np.abs(d_scores), reference.linear(np.abs(features), *sizes)),
        [weights, intercept],
        operations.linear_backward(features, d_scores),
        roundings=f + 1 + d_scores.size,
        every_coordinate=every_coordinate,
    )


def test_the_squared_hinges_gradient_is_its_derivative(operations):
    """Between the margins, 0.125 or more from every score, the hinges are squares or nothing."""
    scores, classes = spaced(np.random.default_rng(8), (4, 5)), np.array([0, 2, 4, 2], np.int32)
    signs = np.where(np.arange(5) == classes[:, np.newaxis], 1, -1)
    check_gradient(
        lambda scores: (operations.squared_hinge(scores, classes)[0].sum(), signs * scores < 1),
        lambda sizes: np.sum((1 + sizes) ** 2),
        [scores],
        [operations.squared_hinge(scores, classes)[1]],
        roundings=3 + scores.size,
        step=SELECTION_STEP,
        every_coordinate=True,
    )


def test_the_cross_entropys_gradient_is_its_derivative(operations):
    """Along scores' axes its fifth derivative is at most 1: the stencil errs by step^4 / 30."""
    (scores,), classes = draw((4, 5), seed=9), np.array([0, 2, 4, 2], np.int32)
    _, d_scores = operations.cross_entropy(scores, classes)
    step = 2.0**-9
    for place in np.ndindex(scores.shape):
        unit = np.zeros(scores.shape)
        unit[place] = 1

        def loss(scores):
            return operations.cross_entropy(scores, classes)[0].sum(), None

        slope = derivative_along([unit], loss, [scores], step)
        # rounding: a loss of about 10, times 18 / (12 step)
        assert abs(slope - d_scores[place]) <= step**4 / 30 + 20 * 1.5 / step * 2.0**-52


def test_relu_backward_is_the_derivative_of_relu(operations):
    rng = np.random.default_rng(1)
    maps, weights = spaced(rng, (2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    check_gradient(
        lambda maps: (np.vdot(weights, operations.relu(maps)), maps > 0),
        lambda sizes: np.vdot(np.abs(weights), sizes),
        [maps],
        [operations.relu_backward(weights, maps)],
        roundings=maps.size,
        step=SELECTION_STEP,
        every_coordinate=True,
    )


def test_the_winners_gradient_goes_to_the_winner_of_every_map_that_is_not_silent(operations):
    rng = np.random.default_rng(2)
    maps, weights = spaced(rng, (2, 3, 4, 5)), rng.standard_normal((2, 3))
    maps[0, 1] -= maps[0, 1].max() + 1  # a silent map

    def loss(maps):
        values, positions = operations.winner_take_all(maps)
        return np.vdot(weights, values), np.where(values > 0, positions, -1)

    _, positions = operations.winner_take_all(maps)
    d_maps = operations.winner_take_all_backward(weights, positions, maps.shape)
    check_gradient(
        loss,
        lambda sizes: np.vdot(np.abs(weights), sizes.max(axis=(2, 3))),
        [maps],
        [operations.relu_backward(d_maps, maps)],
        roundings=weights.size,
        step=SELECTION_STEP,
        every_coordinate=True,
    )


def check_max_pool(operations, width, stride, origin, every_coordinate):
    rng = np.random.default_rng(3)
    maps = spaced(rng, (1, 2, 5, 7))
    weights = rng.standard_normal((1, 2, -(-5 // stride), -(-7 // stride)))

    def loss(maps):
        pooled, argmax = operations.max_pool(maps, width, stride, origin)
        return np.vdot(weights, pooled), argmax

    _, argmax = operations.max_pool(maps, width, stride, origin)
    check_gradient(
        loss,
        lambda sizes: np.vdot(np.abs(weights), reference.max_pool(sizes, width, stride, origin)[0]),
        [maps],
        [operations.max_pool_backward(weights, argmax, maps.shape)],
        roundings=weights.size,
        step=SELECTION_STEP,
        every_coordinate=every_coordinate,
    )


@pytest.mark.parametrize(("width", "stride"), [(5, 3), (3, 2), (2, 2), (1, 2), (4, 1), (9, 2)])
def test_max_pool_backward_is_the_derivative_of_max_pool(operations, width, stride):
    check_max_pool(operations, width, stride, "centred", every_coordinate=True)


@pytest.mark.parametrize(("width", "stride"), [(5, 3), (3, 2), (1, 2), (9, 2)])
def test_it_is_so_for_windows_from_the_corner(operations, width, stride):
    check_max_pool(operations, width, stride, "corner", every_coordinate=False)


def encoder(rule, *n_active):
    """encode(operations, x, filters, bias) -> a code."""
    return lambda operations, *layer: getattr(operations, f"encode_{rule}")(*layer, *n_active)


def over_batch(encode):
    """The encoder, and of every slot the larger half of the batch's values."""

    def encode_and_keep(operations, *layer):
        values, *places = encode(operations, *layer)
        return operations.lifetime_sparsity(values, (len(values) + 1) // 2), *places

    return encode_and_keep


ENCODERS = {
    "winners": encoder("winners"),
    "top_3": encoder("top_n", 3),
    "4_largest": encoder("k_largest", 4),
    "top_2_then_lifetime": over_batch(encoder("top_n", 2)),
    "winners_then_lifetime": over_batch(encoder("winners")),
}


@pytest.mark.parametrize("rule", ENCODERS)
@over_shapes
def test_winners_backward_is_the_derivative_of_the_squared_error(
    operations, rule, shape, every_coordinate
):
    n, c, h, w, m, k = shape
    x, *parameters = draw((n, c, h, w), (m, c, k, k), m, (m, c, k, k), c, seed=4)

    def reconstruct(encoder_filters, encoder_bias, *decoder):
        code = ENCODERS[rule](operations, x, encoder_filters, encoder_bias)
        return operations.decode_winners(*code[:2], *decoder, (h, w), *code[2:]) - x, code

    def loss(*parameters):
        error, (values, *places) = reconstruct(*parameters)
        return np.sum(error**2), np.stack([values > 0, *places])

    def magnitude(encoder_filters, encoder_bias, decoder_filters, decoder_bias):
        _, (values, *places) = reconstruct(*parameters)
        largest = reference.conv2d(np.abs(x), encoder_filters, encoder_bias).max()
        sizes = np.where(values > 0, largest, 0)
        decoder = decoder_filters, decoder_bias, (h, w)
        decoded = reference.decode_winners(sizes, places[0], *decoder, *places[1:])
        return np.sum((decoded + np.abs(x)) ** 2)

    error, (values, positions, *maps) = reconstruct(*parameters)
    gradients = operations.winners_backward(
        x, error, values, positions, parameters[0], parameters[2], *maps
    )
    check_gradient(
        loss,
        magnitude,
        parameters,
        gradients,
        # the convolution, the decoder, the difference and its square, and the sum
        roundings=2 * (c * k * k + 1 + values.shape[1] + 1 + 1) + 1 + x.size,
        step=SELECTION_STEP,
        every_coordinate=every_coordinate,
    )


def every_unit(maps):
    return np.ones(maps.shape)


@pytest.mark.parametrize("survive", [winner_mask, every_unit], ids=lambda rule: rule.__name__)
@over_shapes
def test_the_dense_path_of_the_reference_is_differentiated_rightly(
    survive, shape, every_coordinate
):
    n, c, h, w, m, k = shape
    x, *parameters = draw((n, c, h, w), (m, c, k, k), m, (m, c, k, k), c, seed=5)

    def loss(*parameters):
        maps = reference.conv2d(x, *parameters[:2])
        value, _ = loss_and_gradients(x, *parameters, survive)
        return value, (survive(maps) > 0) & (maps > 0)

    def magnitude(*sizes):
        value, _ = loss_and_gradients(np.abs(x), *sizes[:2], -sizes[2], -sizes[3], every_unit)
        return value

    check_gradient(
        loss,
        magnitude,
        parameters,
        loss_and_gradients(x, *parameters, survive)[1],
        roundings=2 * (c * k * k + 1 + m * k * k + 1 + 1) + 1 + x.size,
        step=SELECTION_STEP,
        every_coordinate=every_coordinate,
    )


def test_the_check_rejects_a_gradient_that_is_off_by_one_part_in_a_million():
    x, filters, bias, weights = draw((2, 1, 6, 7), (3, 1, 3, 3), 3, (2, 3, 6, 7))
    gradients = reference.conv2d_backward(x, filters, weights)
    with pytest.raises(AssertionError):
        check_gradient(
            no_selection(reference.conv2d, weights),
            lambda *sizes: np.vdot(np.abs(weights), reference.conv2d(*sizes)),
            [x, filters, bias],
            [gradient * (1 + 1e-6) for gradient in gradients],
            roundings=9 + 1 + weights.size,
        )


def test_the_check_rejects_a_step_that_crosses_a_kink():
    maps = np.array([[[[-1e-6, 1.0]]]])
    with pytest.raises(AssertionError, match="crosses a tie or a kink"):
        check_gradient(
            lambda maps: (np.sum(reference.relu(maps)), maps > 0),
            np.sum,
            [maps],
            [np.array([[[[0.0, 1.0]]]])],
            roundings=2,
            step=SELECTION_STEP,
            every_coordinate=True,
        )


def test_sgd_momentum_is_its_formula_in_place(operations, dtype):
    rng = np.random.default_rng(6)
    parameter, gradient, velocity = rng.standard_normal((3, 5, 3, 7)).astype(dtype)
    old_parameter, old_velocity = parameter.astype(np.float64), velocity.astype(np.float64)
    old_gradient = gradient.copy()

    assert operations.sgd_momentum_(parameter, gradient, velocity, 0.1, 0.9) is None

    # at most four roundings each: the rate or momentum, the product, the difference, the sum
    bound = 4 * np.finfo(dtype).eps
    sizes = 0.9 * np.abs(old_velocity) + 0.1 * np.abs(gradient)
    new_velocity = 0.9 * old_velocity - 0.1 * gradient.astype(np.float64)
    assert np.all(np.abs(velocity - new_velocity) <= bound * sizes)
    new_parameter = old_parameter + new_velocity
    assert np.all(np.abs(parameter - new_parameter) <= bound * (np.abs(old_parameter) + sizes))
    np.testing.assert_array_equal(gradient, old_gradient)
    assert parameter.dtype == velocity.dtype == dtype
