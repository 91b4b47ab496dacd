"""What several tests share: inputs that are far from ties, numerical derivatives, rounding bounds.

The two error analyses that the tolerances come from are in `check_gradient` and `rounding_bound`.
"""

import math

import numpy as np

EPSILON = np.finfo(np.float64).eps


def spaced(rng, shape, gap=0.25):
    """A random order of values `gap` apart, none nearer to 0 than gap / 2: no ties, no kinks."""
    size = math.prod(shape)
    return rng.permutation((np.arange(size) - size // 2 + 0.5) * gap).reshape(shape)


def whole_numbers(rng, *shape, low=-2, high=2):
    """Small whole numbers: every sum of their products is exact, in whatever order it is taken."""
    return rng.integers(low, high + 1, size=shape).astype(np.float64)


def unit_directions(rng, arguments):
    """One array an argument, together a random vector of length 1."""
    directions = [rng.standard_normal(argument.shape) for argument in arguments]
    length = math.sqrt(sum(np.sum(direction**2) for direction in directions))
    return [direction / length for direction in directions]


def derivative_along(directions, loss, arguments, step):
    """Five-point central difference of `loss`; refuses to cross a change of selection.

    `loss(*arguments)` returns its value and the selection that it made (any array, or None).
    """

    value, selection = {}, {}
    for steps in (-2, -1, 1, 2):
        moved = [a + steps * step * d for a, d in zip(arguments, directions, strict=True)]
        value[steps], selection[steps] = loss(*moved)
        np.testing.assert_array_equal(
            selection[steps], selection[-2], "the step crosses a tie or a kink: draw other inputs"
        )
    return (8 * (value[1] - value[-1]) - (value[2] - value[-2])) / (12 * step)


def check_gradient(
    loss, magnitude, arguments, gradients, roundings, step=1.0, every_coordinate=False, seed=0
):
    """Compare gradients with finite differences along random directions, or in every coordinate.

    While the selection holds, every loss here is a polynomial of degree four at most along any
    line, and for those the five-point difference is exact at any step: what is left is rounding.
    If a value of the loss is the result of at most r = `roundings` roundings in a row over terms
    whose absolute values sum to S, it is wrong by at most r eps S. The stencil makes that
    18 / (12 step) r eps S. The gradient has its own rounding: its terms along a unit direction
    are at most S / (2 step), if S = `magnitude` is taken at the absolute arguments plus 2 step.
    Together: 2 r eps S / step.
    """
    sizes = [np.abs(argument) + 2 * step for argument in arguments]
    tolerance = 2 * roundings * EPSILON * magnitude(*sizes) / step
    rng = np.random.default_rng(seed)
    if every_coordinate:
        ends = np.cumsum([argument.size for argument in arguments])
        parts = [np.split(unit, ends[:-1]) for unit in np.eye(ends[-1])]
        lines = [list(map(np.reshape, split, map(np.shape, arguments))) for split in parts]
    else:
        lines = [unit_directions(rng, arguments) for _ in range(3)]
    for directions in lines:
        numerical = derivative_along(directions, loss, arguments, step)
        analytical = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
        assert abs(analytical - numerical) <= tolerance, (analytical, numerical, tolerance)


def rounding_bound(roundings, magnitude, dtype):
    """How far a sum of products may be from the reference's, in whatever order it is taken.

    Every product and partial sum is rounded by at most u = eps / 2 of itself, so a result that
    went through r roundings is wrong by r u S to first order, S being the sum of its terms'
    absolute values: the same operation on absolute arguments. In float64 the reference is wrong
    by as much; r eps S covers both. Two more roundings cover the terms of second order.
    """
    return (roundings + 2) * np.finfo(dtype).eps * magnitude


def assert_within(actual, expected, bound):
    """|actual - expected| <= bound everywhere, the bound being an array or a number."""
    assert actual.shape == expected.shape
    excess = np.abs(actual - expected) - bound
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    assert excess[worst] <= 0, (
        f"at {tuple(map(int, worst))}: {actual[worst]} instead of {expected[worst]}, "
        f"bound {np.broadcast_to(bound, excess.shape)[worst]:.3g}"
    )


def check_selection(units, bound, values, places):
    """The largest positive units of every group, falling: `values` and `places`, (groups, slots).

    If no unit is off by more than b, neither is the r-th largest of a group. Two units more than
    2 b apart keep their order, so a unit that far from its neighbours in rank is selected there.
    """
    n_groups, n_slots = values.shape
    bound = bound.reshape(n_groups, -1).max(axis=1, keepdims=True)
    units = units.reshape(n_groups, -1)
    missing = max(0, n_slots + 1 - units.shape[1])  # units that are not there count as smallest
    padded = np.pad(units, ((0, 0), (0, missing)), constant_values=-1e300)
    by_rank = np.argsort(-padded, axis=1, kind="stable")[:, : n_slots + 1]
    ranked = np.take_along_axis(padded, by_rank, axis=1)
    right = ranked[:, :n_slots]

    active = values > 0
    assert np.all(active[right > bound])
    assert not np.any(active[right < -bound])
    assert np.all(values[~active] == 0)
    assert np.all(places[~active] == 0)
    assert np.all(np.diff(values, axis=1) <= 0)
    assert_within(values, np.maximum(right, 0), bound)
    at_places = np.take_along_axis(units, places, axis=1)
    assert_within(values, np.where(active, at_places, 0), bound)
    for group in range(n_groups):
        found = places[group][active[group]]
        assert len(set(found)) == len(found)

    apart = ranked[:, :-1] - ranked[:, 1:] > 2 * bound
    from_above = np.pad(apart, ((0, 0), (1, 0)), constant_values=True)[:, :-1]
    clear = (right > bound) & from_above & apart
    np.testing.assert_array_equal(places[clear], by_rank[:, :n_slots][clear])
    return clear


def as_tuple(result):
    """What an operation returned, always as a tuple of arrays."""
    return result if isinstance(result, tuple) else (result,)
