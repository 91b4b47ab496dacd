"""Identities between operations, and what holds for all of them: pure, repeatable, deterministic.

Where both sides of an identity are sums of products, the inputs are small whole numbers: every sum
is then exact in whatever order it is taken, and equal means equal, ties included.
"""

import numba
import numpy as np
import pytest

import reference
from minisca.backends import get_backend
from tests.support import cases
from tests.support.cases import CALLS, CASES, CHANGED, Case, arguments, as_dtype, call
from tests.support.helpers import as_tuple, assert_within, rounding_bound, whole_numbers
from tests.test_gradients import encoder, over_batch

# n, c, h, w, m, k
SHAPES = [(2, 1, 28, 28, 5, 7), (3, 2, 8, 7, 33, 3), (2, 3, 1, 1, 5, 3), (1, 2, 13, 10, 3, 15)]
over_shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


def draw_autoencoder(shape, dtype="float64", seed=0):
    """Whole-numbered images and parameters: x, (encoder filters, bias), (decoder filters, bias)."""
    n, c, h, w, m, k = shape
    rng = np.random.default_rng(seed)
    x = whole_numbers(rng, n, c, h, w)
    encoder = whole_numbers(rng, m, c, k, k), whole_numbers(rng, m)
    decoder = whole_numbers(rng, m, c, k, k), whole_numbers(rng, c)
    encoder[1][0] = -2000  # a map that is silent everywhere
    return (
        x.astype(dtype),
        [array.astype(dtype) for array in encoder],
        [array.astype(dtype) for array in decoder],
    )


def draw_both(shape, dtype, seed):
    """Whole-numbered images x, maps y and filters."""
    n, c, h, w, m, k = shape
    rng = np.random.default_rng(seed)
    sides = (n, c, h, w), (n, m, h, w), (m, c, k, k)
    return [whole_numbers(rng, *each).astype(dtype) for each in sides]


def assert_equal(results, others):
    for result, other in zip(results, others, strict=True):
        np.testing.assert_array_equal(result, other)


def put_back(values, positions, maps=None, *, shape):
    """A code as dense maps of the given shape: every survivor at its place, 0 elsewhere."""
    dense = np.zeros(shape, values.dtype)
    flat = dense.reshape(*shape[:2], -1)
    for (image, slot), value in np.ndenumerate(values):
        if value > 0:
            i = slot if maps is None else maps[image, slot]
            flat[image, i, positions[image, slot]] = value
    return dense


@over_shapes
def test_deconv2d_is_the_transpose_of_conv2d(operations, dtype, shape):
    x, y, filters = draw_both(shape, dtype, seed=1)
    c, m = shape[1], shape[4]
    maps = operations.conv2d(x, filters, np.zeros(m, dtype))
    images = operations.deconv2d(y, filters, np.zeros(c, dtype))
    assert np.vdot(maps, y.astype(np.float64)) == np.vdot(x.astype(np.float64), images)


@over_shapes
def test_each_backward_pass_is_the_others_forward_pass(operations, dtype, shape):
    x, y, filters = draw_both(shape, dtype, seed=2)
    c, m = shape[1], shape[4]
    d_x, d_filters, _ = operations.conv2d_backward(x, filters, y)
    d_y, d_decoder_filters, _ = operations.deconv2d_backward(y, filters, x)
    np.testing.assert_array_equal(d_x, operations.deconv2d(y, filters, np.zeros(c, dtype)))
    np.testing.assert_array_equal(d_y, operations.conv2d(x, filters, np.zeros(m, dtype)))
    np.testing.assert_array_equal(d_filters, d_decoder_filters)


@over_shapes
def test_the_other_gradients_do_not_change_where_d_x_is_not_wanted(operations, shape):
    x, y, filters = draw_both(shape, "float64", seed=3)
    _, *wanted = operations.conv2d_backward(x, filters, y)
    d_x, *others = operations.conv2d_backward(x, filters, y, needs_x=False)
    assert d_x is None
    assert_equal(others, wanted)


def check_sparse_equals_dense(operations, code, x, encoder, decoder):
    """The reconstruction and all gradients of a code, against every map stored and mostly zero."""
    values, positions, *maps = code
    n, _, h, w = x.shape
    dense = put_back(*code, shape=(n, len(encoder[0]), h, w))

    x_hat = operations.decode_winners(values, positions, *decoder, (h, w), *maps)
    np.testing.assert_array_equal(x_hat, operations.deconv2d(dense, *decoder))

    gradients = operations.winners_backward(
        x, x_hat - x, values, positions, encoder[0], decoder[0], *maps
    )
    d_dense, d_decoder_filters, d_decoder_bias = operations.deconv2d_backward(
        dense, decoder[0], 2 * (x_hat - x)
    )
    d_maps = operations.relu_backward(d_dense, dense)
    _, d_encoder_filters, d_encoder_bias = operations.conv2d_backward(x, encoder[0], d_maps)
    dense_gradients = d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias
    assert_equal(gradients, dense_gradients)
    assert d_encoder_filters.any()


@over_shapes
def test_winners_are_those_of_stored_maps(operations, shape):
    x, encoder, _ = draw_autoencoder(shape)
    maps = operations.conv2d(x, *encoder)
    assert_equal(operations.encode_winners(x, *encoder), operations.winner_take_all(maps))


ENCODERS = {
    "winners": encoder("winners"),
    "lifetime": over_batch(encoder("winners")),
    "top_2": encoder("top_n", 2),
    "top_9": encoder("top_n", 9),
    "2_largest": encoder("k_largest", 2),
    "9_largest": encoder("k_largest", 9),
}


@over_shapes
@pytest.mark.parametrize("rule", ENCODERS)
def test_the_sparse_path_equals_the_dense_path(operations, shape, rule):
    x, encoder, decoder = draw_autoencoder(shape)
    code = ENCODERS[rule](operations, x, *encoder)
    check_sparse_equals_dense(operations, code, x, encoder, decoder)


@over_shapes
def test_one_slot_a_map_is_the_general_code_with_its_maps_named(operations, dtype, shape):
    x, encoder, decoder = draw_autoencoder(shape, dtype)
    values, positions = operations.encode_winners(x, *encoder)
    maps = np.tile(np.arange(values.shape[1], dtype=np.int32), (len(values), 1))
    size = x.shape[2:]
    images = operations.decode_winners(values, positions, *decoder, size)
    named = operations.decode_winners(values, positions, *decoder, size, maps)
    np.testing.assert_array_equal(images, named)
    code = x, images - x, values, positions, encoder[0], decoder[0]
    assert_equal(operations.winners_backward(*code), operations.winners_backward(*code, maps))


@over_shapes
@pytest.mark.parametrize("rule", ["encode_top_n", "encode_k_largest"])
def test_when_every_unit_may_survive_the_autoencoder_is_the_plain_one(operations, shape, rule):
    shape = (*shape[:2], min(shape[2], 8), *shape[3:])
    x, encoder, decoder = draw_autoencoder(shape)
    n_units = shape[2] * shape[3] * (1 if rule == "encode_top_n" else shape[4])
    values, positions, maps = getattr(operations, rule)(x, *encoder, n_units)
    images = operations.decode_winners(values, positions, *decoder, shape[2:4], maps)
    activations = operations.relu(operations.conv2d(x, *encoder))
    np.testing.assert_array_equal(images, operations.deconv2d(activations, *decoder))


@over_shapes
@pytest.mark.parametrize("pool", [(5, 3), (5, 4), (6, 4), (3, 2), (1, 2), (2, 1), (5, 3, "corner")])
def test_pooled_features_are_the_three_steps_in_one(operations, dtype, shape, pool):
    x, encoder, _ = draw_autoencoder(shape, dtype)
    pooled = operations.encode_pooled(x, *encoder, *pool)
    activations = operations.relu(operations.conv2d(x, *encoder))
    np.testing.assert_array_equal(pooled, operations.max_pool(activations, *pool)[0])


@over_shapes
@pytest.mark.parametrize("pool", [(5, 3), (1, 1), (5, 3, "corner")])
def test_factors_scale_the_units_of_a_position_before_the_bias(operations, dtype, shape, pool):
    x, (filters, bias), _ = draw_autoencoder(shape, dtype)
    factors = whole_numbers(np.random.default_rng(5), len(x), *x.shape[2:]).astype(dtype)
    maps = factors[:, None] * operations.conv2d(x, filters, np.zeros_like(bias))
    activations = operations.relu(maps + bias[:, None, None])
    pooled = operations.encode_pooled(x, filters, bias, *pool, factors=factors)
    np.testing.assert_array_equal(pooled, operations.max_pool(activations, *pool)[0])


PAPER_SIZES = [(28, 5, 3, 10), (32, 5, 4, 8), (32, 6, 4, 8), (10, 3, 2, 5), (8, 3, 2, 4)]


@pytest.mark.parametrize(("size", "pool_width", "stride", "pooled_size"), PAPER_SIZES)
def test_max_pool_gives_the_papers_sizes(operations, size, pool_width, stride, pooled_size):
    maps = np.random.default_rng(4).standard_normal((1, 2, size, size))
    pooled, argmax = operations.max_pool(maps, pool_width, stride)
    assert pooled.shape == argmax.shape == (1, 2, pooled_size, pooled_size)


def test_centred_windows_are_those_from_the_corner_of_a_map_with_a_margin(operations):
    maps = np.random.default_rng(4).standard_normal((2, 2, 7, 9))
    pooled, _ = operations.max_pool(maps, 3, 2)
    wider = np.pad(maps, ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=maps.min() - 1)
    np.testing.assert_array_equal(pooled, operations.max_pool(wider, 3, 2, "corner")[0])
    assert not np.array_equal(pooled, operations.max_pool(maps, 3, 2, "corner")[0])


over_calls = pytest.mark.parametrize("name", CALLS)
SAMPLE = [case for case in CASES if case.n > 2 or case.h == case.w == 1]
over_sample = pytest.mark.parametrize("case", SAMPLE, ids=str)


@over_calls
@over_sample
def test_operations_leave_their_arguments_alone(backend, name, case, dtype):
    args, untouched = (as_dtype(arguments(name, case), dtype) for _ in range(2))
    changed = CHANGED.get(name, ())
    results = call(backend, name, args)
    for index, (array, before) in enumerate(zip(args, untouched, strict=True)):
        if isinstance(array, np.ndarray) and index not in changed:
            np.testing.assert_array_equal(array, before)
            assert not any(
                np.shares_memory(array, result)
                for result in as_tuple(results)
                if result is not None
            )


def results_of(backend, name, case, dtype):
    """What a call returned or changed."""
    return cases.results_of(backend, name, as_dtype(arguments(name, case), dtype))


@over_calls
@over_sample
def test_a_repeated_call_returns_the_same_bits(backend, name, case, dtype):
    first, *repeated = (results_of(backend, name, case, dtype) for _ in range(3))
    for results in repeated:
        assert_equal(results, first)


@over_calls
@over_sample
def test_the_number_of_threads_changes_no_bit(name, case, dtype):
    backend = get_backend("cpu")  # the only one that runs in Numba's threads
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba was given a single thread")
    before, results = numba.get_num_threads(), []
    try:
        for n_threads in {1, 2, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(n_threads)
            results.append(results_of(backend, name, case, dtype))
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        assert_equal(other, results[0])


GRADIENT_CASES = [Case(19, 1, 28, 28, 5, 7), Case(2, 4, 10, 10, 16, 5), Case(3, 2, 8, 7, 70, 3)]


@pytest.mark.parametrize("case", GRADIENT_CASES, ids=str)
def test_a_training_step_in_float32_is_near_the_one_in_float64(backend, case):
    """Gradients of the code that float64 selects; the bound follows the roundings of every step."""
    x, filters, bias = arguments("encode_winners", case)
    decoder_filters = arguments("winners_backward", case)[5]
    *_, decoder_bias, size = arguments("decode_winners", case)
    values, positions = backend.encode_winners(x, filters, bias)

    def step(dtype):
        x_, P, b, W, b_ = as_dtype((x, filters, bias, decoder_filters, decoder_bias), dtype)
        z, found = backend.encode_winners(x_, P, b)
        np.testing.assert_array_equal(found, positions)
        error = backend.decode_winners(z, found, W, b_, size) - x_
        return backend.winners_backward(x_, error, z, found, P, W)

    # the same step on absolute values, nothing cancelled
    sizes = reference.conv2d(np.abs(x), np.abs(filters), np.abs(bias))
    flat = sizes.reshape(*values.shape, -1)
    z = np.take_along_axis(flat, positions[..., None].astype(int), axis=2)[..., 0] * (values > 0)
    W, b_ = np.abs(decoder_filters), np.abs(decoder_bias)
    error = reference.decode_winners(z, positions, W, b_, size) + np.abs(x)
    magnitudes = reference.winners_backward(np.abs(x), error, z, positions, filters, W)

    # the convolution, the decoder, the difference; then the sums that the error enters
    in_error = case.c * case.k**2 + 1 + case.m + 1 + 1
    in_delta = in_error + case.c * case.k**2 + 1
    roundings = (
        in_delta + case.n + 1,
        in_delta + case.n,
        2 * in_error + case.n + 1,
        in_error + case.n * case.h * case.w,
    )
    for result, right, steps, magnitude in zip(
        step("float32"), step("float64"), roundings, magnitudes, strict=True
    ):
        assert_within(result, right, rounding_bound(steps, magnitude, "float32"))
