"""Every operation of a backend computes what the reference does, over awkward shapes and images.

Operations that only move or compare numbers must agree exactly. Sums of products must agree within
`rounding_bound`; selections wherever the units differ by more than their bound.
"""

import functools
import math

import numpy as np
import pytest

import reference
from tests.support.cases import CASES, Case, arguments, as_dtype, call
from tests.support.helpers import as_tuple, assert_within, check_selection, rounding_bound

over_cases = pytest.mark.parametrize("case", CASES, ids=str)


def absolute(args):
    """The arguments with every float array replaced by its absolute values."""
    return tuple(
        np.abs(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args
    )


@functools.cache
def expected(name, case):
    return as_tuple(call(reference, name, arguments(name, case)))


@functools.cache
def magnitude(name, case):
    """The sums of the absolute values of the terms of every result."""
    return as_tuple(call(reference, name, absolute(arguments(name, case))))


def roundings(name, case):
    """The most roundings in a row on the way to each result: products, sums, biases."""
    patch, places = case.c * case.k**2, case.n * case.h * case.w
    n_slots = 2 * case.m + 1
    windows = math.ceil(case.pool_width / case.pool_stride) ** 2
    return {
        "conv2d": (patch + 1,),
        "conv2d_backward": (case.m * case.k**2, places, places),
        "deconv2d": (case.m * case.k**2 + 1,),
        "deconv2d_backward": (patch, places, places),
        "decode_winners": (case.m + 1,),
        "decode_winners, maps": (n_slots + 1,),
        # delta takes a patch of roundings, then joins a sum over the survivors of its map
        "winners_backward": (patch + case.n + 1, patch + case.n, case.n + 1, places),
        "winners_backward, maps": (
            *(patch + case.n * n_slots + 1, patch + case.n * n_slots),
            *(case.n * n_slots + 1, places),
        ),
        "max_pool_backward": (windows,),
        "lifetime_sparsity": (0,),
        "linear": (case.c * case.h * case.w + 1,),
        "linear_backward": (case.n, case.n),
    }[name]


def check_dtypes(results, dtype):
    for result in results:
        assert result.dtype == (dtype if result.dtype.kind == "f" else np.int32)
        assert result.flags.c_contiguous


SUMS = [
    *("conv2d", "conv2d_backward", "deconv2d", "deconv2d_backward", "max_pool_backward"),
    *("decode_winners", "decode_winners, maps", "winners_backward", "winners_backward, maps"),
    *("linear", "linear_backward"),
]


@over_cases
@pytest.mark.parametrize("name", SUMS)
def test_sums_of_products_are_the_references_up_to_rounding(backend, name, case, dtype):
    results = as_tuple(call(backend, name, as_dtype(arguments(name, case), dtype)))
    check_dtypes(results, dtype)
    assert len(results) == len(expected(name, case))
    for result, right, sizes, steps in zip(
        results, expected(name, case), magnitude(name, case), roundings(name, case), strict=True
    ):
        assert_within(result, right, rounding_bound(steps, sizes, dtype))


EXACT = [
    *("relu", "relu_backward", "winner_take_all", "winner_take_all_backward"),
    *("lifetime_sparsity", "max_pool"),
]


@over_cases
@pytest.mark.parametrize("name", EXACT)
def test_what_only_moves_and_compares_numbers_is_exact(backend, name, case, dtype):
    results = as_tuple(call(backend, name, as_dtype(arguments(name, case), dtype)))
    check_dtypes(results, dtype)
    for result, right in zip(results, expected(name, case), strict=True):
        np.testing.assert_array_equal(result, right)


@functools.cache
def units_and_bound(case, dtype):
    """The reference's pre-activations and how far a backend's may be from them."""
    (maps,), (sizes,) = expected("conv2d", case), magnitude("conv2d", case)
    return maps, rounding_bound(case.c * case.k**2 + 1, sizes, dtype)


def check_most_clear(clear, values, case):
    """On random images the check above checks something: it leaves few ranks to rounding."""
    if case.images == "normal":
        assert np.count_nonzero(clear) >= 0.5 * np.count_nonzero(values)


@over_cases
def test_the_winners_are_the_references(backend, case, dtype):
    values, positions = backend.encode_winners(*as_dtype(arguments("encode_winners", case), dtype))
    check_dtypes((values, positions), dtype)
    assert values.shape == positions.shape == (case.n, case.m)
    units, bound = units_and_bound(case, dtype)
    clear = check_selection(units, bound, values.reshape(-1, 1), positions.reshape(-1, 1))
    check_most_clear(clear, values, case)


@over_cases
@pytest.mark.parametrize("n_active", [1, 3])
def test_the_top_n_are_the_references(backend, case, dtype, n_active):
    x, filters, bias, _ = as_dtype(arguments("encode_top_n", case), dtype)
    values, positions, maps = backend.encode_top_n(x, filters, bias, n_active)
    check_dtypes((values, positions, maps), dtype)
    assert values.shape == positions.shape == (case.n, case.m * n_active)
    by_map = np.repeat(np.arange(case.m), n_active)
    np.testing.assert_array_equal(maps, np.broadcast_to(by_map, values.shape))
    units, bound = units_and_bound(case, dtype)
    clear = check_selection(
        units, bound, values.reshape(-1, n_active), positions.reshape(-1, n_active)
    )
    check_most_clear(clear, values, case)


@over_cases
@pytest.mark.parametrize("n_active", [1, 7])
def test_the_k_largest_are_the_references(backend, case, dtype, n_active):
    x, filters, bias, _ = as_dtype(arguments("encode_k_largest", case), dtype)
    values, positions, maps = backend.encode_k_largest(x, filters, bias, n_active)
    check_dtypes((values, positions, maps), dtype)
    assert values.shape == positions.shape == maps.shape == (case.n, n_active)
    units, bound = units_and_bound(case, dtype)
    clear = check_selection(units, bound, values, maps * (case.h * case.w) + positions)
    check_most_clear(clear, values, case)


@over_cases
def test_pooled_features_are_the_references_up_to_rounding(backend, case, dtype):
    pooled = backend.encode_pooled(*as_dtype(arguments("encode_pooled", case), dtype))
    check_dtypes((pooled,), dtype)
    # the largest of units that are each off by at most their bound is off by at most the largest
    _, bound = units_and_bound(case, dtype)
    bound, _ = reference.max_pool(bound, *case.pooling)
    assert_within(pooled, expected("encode_pooled", case)[0], bound)


@over_cases
def test_pooled_features_of_units_times_factors_are_the_references_too(backend, case, dtype):
    name = "encode_pooled, factors"
    pooled = backend.encode_pooled(*as_dtype(arguments(name, case), dtype))
    check_dtypes((pooled,), dtype)
    # a product more than without factors; on absolute values, where nothing is cut off
    bound = rounding_bound(case.c * case.k**2 + 2, magnitude(name, case)[0], dtype)
    assert_within(pooled, expected(name, case)[0], bound)


@over_cases
@pytest.mark.parametrize("name", ["squared_hinge", "cross_entropy"])
def test_losses_are_the_references_in_float64_and_gradients_up_to_one_rounding(
    backend, name, case, dtype
):
    args = as_dtype(arguments(name, case), dtype)
    losses, d_scores = call(backend, name, args)
    (right, d_right), sizes = expected(name, case), np.abs(args[0]).sum(axis=1)
    assert losses.dtype == np.float64
    check_dtypes((d_scores,), dtype)
    # of exponentials and logarithms two units in the last place; hinges are squared
    steps, largest = 3 * case.m + 10, (case.m + sizes) ** 2
    assert_within(losses, right, rounding_bound(steps, largest, "float64"))
    bound = rounding_bound(steps, largest[:, np.newaxis], "float64")
    assert_within(d_scores, d_right, bound + np.finfo(dtype).eps * np.abs(d_right))


@over_cases
def test_squares_of_rows_are_the_references_in_float64(backend, case, dtype):
    squares = backend.row_squares(*as_dtype(arguments("row_squares", case), dtype))
    assert squares.dtype == np.float64
    (right,) = expected("row_squares", case)
    assert_within(squares, right, rounding_bound(case.c * case.h * case.w, right, "float64"))


@over_cases
def test_rows_of_normalised_contrast_are_the_references(backend, case, dtype):
    """Their means and deviations are sums in float64; what is subtracted may cancel."""
    features, epsilon = as_dtype(arguments("contrast_normalised", case), dtype)
    (found,) = as_tuple(backend.contrast_normalised(features, epsilon))
    check_dtypes((found,), dtype)
    (right,) = expected("contrast_normalised", case)
    largest = np.abs(features).max(axis=1, keepdims=True) / epsilon
    steps = 2 * case.c * case.h * case.w + 10
    bound = rounding_bound(steps, largest * (1 + np.abs(right)), "float64")
    assert_within(found, right, bound + np.finfo(dtype).eps * np.abs(right))


@over_cases
def test_the_nearest_centre_is_the_references(backend, case, dtype):
    """Or one that is as near up to rounding; its distance is that of the difference."""
    points, centres = as_dtype(arguments("nearest", case), dtype)
    labels, distances = backend.nearest(points, centres)
    check_dtypes((labels, distances), dtype)
    (_, right), n = expected("nearest", case), case.c * case.h * case.w
    chosen = np.square(points.astype(np.float64) - centres[labels]).sum(axis=1)
    assert_within(distances, chosen, rounding_bound(n + 3, chosen, dtype))
    norms = np.square(points.astype(np.float64)).sum(axis=1)
    norms += np.square(centres.astype(np.float64)).sum(axis=1).max()
    assert_within(chosen, right, rounding_bound(2 * n + 6, 2 * norms, dtype))


def test_of_equally_near_centres_the_first_is_chosen(backend):
    centres = np.zeros((70, 3), np.float32)
    centres[[3, 40, 69]] = 1
    labels, distances = backend.nearest(np.full((5, 3), 2, np.float32), centres)
    np.testing.assert_array_equal(labels, 3)
    np.testing.assert_array_equal(distances, 3)


@pytest.mark.parametrize("name", ["linear", "linear_backward", "row_squares"])
def test_features_in_halves_are_the_same_numbers_in_float32(backend, name):
    """The smallest and the largest half among them; the call's dtype is float32."""
    halves, *others = arguments(name, Case(3, 1, 4, 5, 4, 3))
    halves = halves.astype(np.float16)
    halves[0, :3] = 6e-8, -65504, 6e-5
    others = as_dtype(others, "float32")
    found = as_tuple(call(backend, name, (halves, *others)))
    right = as_tuple(call(backend, name, (halves.astype(np.float32), *others)))
    for result, other in zip(found, right, strict=True):
        assert result.dtype == other.dtype
        np.testing.assert_array_equal(result, other)


@pytest.mark.parametrize("case", [case for case in CASES if case.n > 2], ids=str)
@pytest.mark.parametrize("name", ["winners_update_", "winners_update_, maps"])
def test_an_update_by_a_code_is_its_gradients_and_then_the_update(backend, name, case, dtype):
    found, args = (as_dtype(arguments(name, case), dtype) for _ in range(2))
    assert call(backend, name, found) is None
    parameters, velocities, (rates, momentum, *maps) = args[4:8], args[8:12], args[12:]
    gradients = backend.winners_backward(*args[:4], parameters[0], parameters[2], *maps)
    gradients = [np.array(backend.to_host(gradient)) for gradient in gradients]
    rates = rates.tolist()
    backend.sgd_momentum_(list(parameters), gradients, list(velocities), rates, momentum)
    for changed, right in zip(found[4:12], args[4:12], strict=True):
        np.testing.assert_array_equal(changed, right)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_loss_of_a_score_that_is_no_number_is_none_either(backend, bad):
    """One of minus infinity for another class costs nothing."""
    scores, classes = np.zeros((3, 4)), np.zeros(3, np.int32)
    scores[1, 2] = bad
    for name in ("squared_hinge", "cross_entropy"):
        losses, _ = call(backend, name, (scores, classes))
        assert list(np.isfinite(losses)) == [True, bad == -np.inf, True]


def test_the_bound_notices_one_missing_term():
    """A pixel left out of one sum is far more than rounding, even in float32."""
    case = Case(1, 1, 7, 7, 1, 3)
    (right,), (sizes,) = expected("conv2d", case), magnitude("conv2d", case)
    x, filters, _ = arguments("conv2d", case)
    wrong = right.copy()
    wrong[0, 0, 3, 3] -= x[0, 0, 3, 3] * filters[0, 0, 1, 1]
    with pytest.raises(AssertionError, match=r"at \(0, 0, 3, 3\)"):
        assert_within(wrong, right, rounding_bound(10, sizes, "float32"))
