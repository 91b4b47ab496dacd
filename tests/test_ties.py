"""Ties and silence: who wins among equals, and what a map without a positive unit does (nothing).

The inputs are small whole numbers, so that every sum is exact in float32 and every tie is a tie.
Who should win is found with NumPy's argmax and stable sorts, not with the reference.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

import reference
from tests.support.helpers import whole_numbers

SIZES = [(1, 1), (1, 7), (10, 10), (13, 1), (5, 28), (28, 28), (33, 7)]
over_sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))


def few_levels(rng, shape, dtype):
    """Maps of the values -1, 0, 1 and 2: the largest is nearly always tied."""
    return rng.integers(-1, 3, size=shape).astype(dtype)


def draw_layer(size, dtype, c=2, m=5, k=3, n=3, seed=0):
    """Whole-numbered images (the last entirely zero), filters and biases, and their maps."""
    rng = np.random.default_rng(seed)
    x = whole_numbers(rng, n, c, *size, low=0, high=1)
    x[-1] = 0
    filters, bias = whole_numbers(rng, m, c, k, k), whole_numbers(rng, m)
    bias[:2] = 1, -1  # on the empty image map 0 is tied everywhere, map 1 silent
    layer = [array.astype(dtype) for array in (x, filters, bias)]
    return layer, reference.conv2d(*layer)


def largest_first(units, count):
    """Values and places of the largest positive units of each row, equal ones by rising place."""
    places = np.argsort(-units, axis=1, kind="stable")[:, :count]
    values = np.maximum(np.take_along_axis(units, places, axis=1), 0)
    places = np.where(values > 0, places, 0)
    missing = ((0, 0), (0, count - places.shape[1]))
    return np.pad(values, missing), np.pad(places, missing)


@over_sizes
def test_the_first_of_the_largest_units_wins_its_map(operations, dtype, size):
    maps = few_levels(np.random.default_rng(1), (3, 9, *size), dtype)
    values, positions = operations.winner_take_all(maps)
    flat = maps.reshape(3, 9, -1)
    np.testing.assert_array_equal(values, np.maximum(flat.max(axis=2), 0))
    np.testing.assert_array_equal(positions, np.where(values > 0, flat.argmax(axis=2), 0))


@over_sizes
def test_the_first_of_the_largest_units_wins_when_no_map_is_stored(operations, dtype, size):
    layer, maps = draw_layer(size, dtype)
    values, positions = operations.encode_winners(*layer)
    flat = maps.reshape(*maps.shape[:2], -1)
    np.testing.assert_array_equal(values, np.maximum(flat.max(axis=2), 0))
    np.testing.assert_array_equal(positions, np.where(values > 0, flat.argmax(axis=2), 0))
    assert values[-1, 0] == 1  # the empty image: the bias, tied everywhere
    assert positions[-1, 0] == 0
    assert values[-1, 1] == positions[-1, 1] == 0


def test_the_first_empty_patch_wins_where_ink_only_lowers_a_map(operations, dtype):
    x = np.zeros((1, 1, 28, 28), dtype)
    x[0, 0, :14, :20] = np.random.default_rng(2).random((14, 20)) + 0.5
    filters = np.full((3, 1, 7, 7), -0.3, dtype)
    bias = np.array([0.1, 0.7, -0.1], dtype)
    values, positions = operations.encode_winners(x, filters, bias)
    np.testing.assert_array_equal(values[0], [bias[0], bias[1], 0])
    np.testing.assert_array_equal(positions[0], [23, 23, 0])  # 20 columns of ink, 3 of filter


@over_sizes
@pytest.mark.parametrize("n_active", [1, 2, 9])
def test_top_n_takes_equal_units_by_rising_position(operations, dtype, size, n_active):
    layer, units = draw_layer(size, dtype)
    n, m = units.shape[:2]
    values, positions, maps = operations.encode_top_n(*layer, n_active)
    right_values, right_places = largest_first(units.reshape(n * m, -1), n_active)
    np.testing.assert_array_equal(values, right_values.reshape(n, -1))
    np.testing.assert_array_equal(positions, right_places.reshape(n, -1))
    np.testing.assert_array_equal(maps, np.tile(np.repeat(np.arange(m), n_active), (n, 1)))


@over_sizes
@pytest.mark.parametrize("n_active", [1, 6, 40])
def test_k_largest_takes_equal_units_by_rising_map_then_position(operations, dtype, size, n_active):
    layer, units = draw_layer(size, dtype)
    values, positions, maps = operations.encode_k_largest(*layer, n_active)
    right_values, right_places = largest_first(units.reshape(len(units), -1), n_active)
    right_maps, right_positions = np.divmod(right_places, math.prod(size))
    np.testing.assert_array_equal(values, right_values)
    np.testing.assert_array_equal(maps, right_maps)
    np.testing.assert_array_equal(positions, right_positions)


@pytest.mark.parametrize("fraction", [0.01, 0.07, 0.25, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 4, 11, 100])
def test_lifetime_sparsity_keeps_equal_values_of_the_first_images(operations, dtype, fraction, n):
    values = np.random.default_rng(3).integers(0, 4, size=(n, 9)).astype(dtype)
    values[:, 0] = 3  # all equal
    n_kept = math.ceil(Fraction(str(fraction)) * n)
    kept = operations.lifetime_sparsity(values, n_kept)
    images = np.argsort(-values, axis=0, kind="stable")[:n_kept]
    right = np.zeros_like(values)
    np.put_along_axis(right, images, np.take_along_axis(values, images, axis=0), axis=0)
    np.testing.assert_array_equal(kept, right)
    assert np.count_nonzero(kept[:, 0]) == n_kept


@over_sizes
@pytest.mark.parametrize(
    "pooling",
    [(5, 3, "centred"), (3, 2, "centred"), (2, 1, "centred"), (1, 1, "centred"), (5, 3, "corner")],
    ids=["5-3", "3-2", "2-1", "1-1", "5-3-corner"],
)
def test_the_first_of_the_largest_units_wins_its_window(operations, dtype, size, pooling):
    maps = few_levels(np.random.default_rng(4), (2, 3, *size), dtype)
    maps[0, 0] = -1  # pooling has no ReLU in it: a negative largest unit is the largest unit
    pooled, argmax = operations.max_pool(maps, *pooling)
    for (image, i, *window), value in np.ndenumerate(pooled):
        rows, columns = (
            window_range(side, *pooling, index) for side, index in zip(size, window, strict=True)
        )
        seen = maps[image, i, rows, columns]
        row, column = divmod(seen.argmax(), seen.shape[1])
        assert value == seen.max()
        place = (rows.start + row) * size[1] + columns.start + column
        assert argmax[(image, i, *window)] == place


def window_range(size, width, stride, origin, index):
    first = -math.floor(((math.ceil(size / stride) - 1) * stride + width - size) / 2)
    first = 0 if origin == "corner" else first
    start = first + index * stride
    return slice(max(0, start), min(size, start + width))


def test_of_tied_units_only_the_winner_of_a_window_receives_its_gradient(operations, dtype):
    maps = np.ones((1, 1, 4, 4), dtype)
    _, argmax = operations.max_pool(maps, 3, 2)  # windows start at 0 and 2
    d_pooled = np.array([[[[1, 2], [3, 4]]]], dtype)
    right = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(
        operations.max_pool_backward(d_pooled, argmax, maps.shape)[0, 0], right
    )


def test_a_unit_that_wins_several_windows_receives_all_their_gradients(operations, dtype):
    maps = np.zeros((1, 1, 3, 3), dtype)
    maps[0, 0, 1, 1] = 1
    pooled, argmax = operations.max_pool(maps, 3, 1)
    assert np.all(pooled == 1)
    d_maps = operations.max_pool_backward(np.ones((1, 1, 3, 3), dtype), argmax, maps.shape)
    np.testing.assert_array_equal(d_maps[0, 0], [[0, 0, 0], [0, 9, 0], [0, 0, 0]])


def test_relu_and_its_gradient_are_zero_at_zero(operations, dtype):
    maps = np.array([[[[-1, 0, -0.0, 2]]]], dtype)
    np.testing.assert_array_equal(operations.relu(maps), [[[[0, 0, 0, 2]]]])
    gradient = operations.relu_backward(np.full_like(maps, 5), maps)
    np.testing.assert_array_equal(gradient, [[[[0, 0, 0, 5]]]])


@pytest.mark.parametrize("largest", [0.0, -0.0, -1e-30, -3.0])
def test_a_map_without_a_positive_unit_is_silent(operations, dtype, largest):
    maps = np.full((1, 2, 3, 3), -5, dtype)
    maps[0, 0, 1, 1] = largest
    maps[0, 1, 2, 2] = 1e-30
    values, positions = operations.winner_take_all(maps)
    np.testing.assert_array_equal(values, np.array([[0, 1e-30]], dtype))
    np.testing.assert_array_equal(positions, [[0, 8]])


@pytest.mark.parametrize("bias", [0.0, -2.0])
def test_an_empty_image_without_a_positive_bias_is_silent_under_every_rule(operations, dtype, bias):
    x, filters = np.zeros((2, 1, 5, 7), dtype), np.ones((3, 1, 3, 3), dtype)
    bias = np.full(3, bias, dtype)
    codes = [
        operations.encode_winners(x, filters, bias),
        operations.encode_top_n(x, filters, bias, 2)[:2],
        operations.encode_k_largest(x, filters, bias, 4),
    ]
    for code in codes:
        for array in code:
            assert not array.any()


def test_an_empty_image_is_as_silent_after_others(operations, dtype):
    """Nothing is left of an image that was worked on before, with the same memory perhaps."""
    x, filters = np.zeros((40, 1, 3, 4), dtype), np.ones((2, 1, 3, 3), dtype)
    x[::2, :, 1:, 2:], filters[1] = 1, 2
    code = x, filters, np.zeros(2, dtype)
    for results in (
        operations.encode_winners(*code),
        operations.encode_top_n(*code, 2)[:2],
        operations.encode_k_largest(*code, 3),
        (operations.encode_pooled(*code, 2, 2),),
    ):
        for array in results:
            assert array[::2].any()
            assert not array[1::2].any()


def code_with_a_silent_slot(dtype, position):
    """Whole-numbered arguments of the sparse path; slot 1 of image 0 is silent, at `position`."""
    rng = np.random.default_rng(5)
    x, error = (whole_numbers(rng, 2, 2, 6, 5).astype(dtype) for _ in range(2))
    filters, decoder_filters = (whole_numbers(rng, 3, 2, 3, 3).astype(dtype) for _ in range(2))
    values = np.array([[2, 0, 1], [3, 1, 2]], dtype)
    positions = np.array([[7, position, 0], [29, 14, 3]], np.int32)
    return x, error, values, positions, filters, decoder_filters


# A silent slot has position 0, but lifetime sparsity silences slots that have another.
@pytest.mark.parametrize("position", [0, 17])
def test_a_silent_slot_contributes_nothing_to_a_reconstruction(operations, dtype, position):
    _, _, values, positions, filters, _ = code_with_a_silent_slot(dtype, position)
    bias = np.array([1, -1], dtype)
    images = operations.decode_winners(values, positions, filters, bias, (6, 5))
    maps = np.array([[0, 2]], np.int32)
    without = operations.decode_winners(
        values[:1, [0, 2]], positions[:1, [0, 2]], filters, bias, (6, 5), maps
    )
    np.testing.assert_array_equal(images[:1], without)


@pytest.mark.parametrize("position", [0, 17])
def test_a_silent_slot_receives_no_gradient(operations, dtype, position):
    x, error, values, positions, *filters = code_with_a_silent_slot(dtype, position)
    first = operations.winners_backward(
        x[:1], error[:1], values[:1], positions[:1], filters[0], filters[1]
    )
    d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias = first
    for gradient in (d_encoder_filters, d_encoder_bias, d_decoder_filters):
        assert not gradient[1].any()
        assert gradient[0].any()
        assert gradient[2].any()
    np.testing.assert_array_equal(d_decoder_bias, 2 * error[0].sum(axis=(1, 2)))


@pytest.mark.parametrize("position", [0, 17])
def test_a_silent_slot_of_a_general_code_does_nothing_whatever_its_map(operations, dtype, position):
    x, error, values, positions, *filters = code_with_a_silent_slot(dtype, position)
    bias = np.array([1, -1], dtype)
    maps = np.array([[2, 0, 1], [1, 1, 0]], np.int32)  # the silent slot names map 0
    others, kept = ([0, 2], np.s_[:1])
    with_it = (values[kept], positions[kept], maps[kept])
    without = tuple(np.ascontiguousarray(array[:, others]) for array in with_it)
    for operation in (
        lambda v, p, i: [operations.decode_winners(v, p, filters[1], bias, (6, 5), i)],
        lambda v, p, i: operations.winners_backward(x[kept], error[kept], v, p, *filters, i),
    ):
        for result, right in zip(operation(*with_it), operation(*without), strict=True):
            np.testing.assert_array_equal(result, right)


def test_a_silent_map_passes_no_gradient_to_its_first_place(operations, dtype):
    maps = np.array([[[[-1, -2], [-3, -4]], [[1, 2], [4, 3]]]], dtype)
    _, positions = operations.winner_take_all(maps)
    d_maps = operations.winner_take_all_backward(np.array([[5, 7]], dtype), positions, maps.shape)
    np.testing.assert_array_equal(operations.relu_backward(d_maps, maps)[0, 0], 0)
    np.testing.assert_array_equal(operations.relu_backward(d_maps, maps)[0, 1], [[0, 0], [7, 0]])
