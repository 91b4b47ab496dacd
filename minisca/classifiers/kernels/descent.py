"""Coordinate descent in the dual of the linear SVM: what is done with one block of rows.

Source: Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008,
algorithm 1, and its shrinking, section 3.3. A row's step needs its scores by the weights that all
steps before it have left. Here some rows are taken together. Their scores by the weights before
them, and the inner products of every two, tell how each row's step changes the scores of those
after it: the steps are the same, but for rounding, and what they add to the weights is added at
once. So the weights are read once for all these rows, and the work is cut by features, of which
there are many.

A dual variable that is 0, and that its gradient would push below, mostly stays so for many passes.
It can be put to sleep: it is -0 then, and is passed over until a pass wakes it.
"""

from typing import NamedTuple

import numpy as np

from minisca.backends import cpu_runtime

runtime = cpu_runtime()
call, ceil_div, share = runtime.machine_code.call, runtime.ceil_div, runtime.share
LEFT, RIGHT = runtime.dots.LEFT, runtime.dots.RIGHT

#: Slopes by which nothing is put to sleep.
NEVER = float("inf")
#: Rows that are taken together, a multiple of LEFT and RIGHT. With more of them, the inner products
#: of every two cost more than reading the weights less often spares.
GROUP = 24
#: Features of a tile. A group's rows and the weights of ten classes stay in the second-level cache.
TILE = 512
#: From one row of a tile to the next: a whole page apart, all would lie in the same cache lines.
STRIDE = TILE + 16
#: Pieces that the tiles are cut into at most; each sums up for itself.
PIECES = 16
#: Classes whose weights are added to at a time.
CLASSES = runtime.machine_code.TILE_SUMS // 2


class Machines(NamedTuple):
    """What the classes' machines have learned so far. A step changes it in place."""

    weights: np.ndarray  # as `in_tiles` gives them, of the features' dtype
    intercepts: np.ndarray  # (classes,) float64, as those below
    balance: np.ndarray  # the sums of signed dual variables
    violations: np.ndarray  # the largest so far of what a step had to put right, in margins


class Rows(NamedTuple):
    """Where the rows of a block come from, and where their dual variables are."""

    block: np.ndarray  # (b, f): the features as they are; halves as int16
    places: np.ndarray  # (n,): which rows of it
    numbers: np.ndarray  # (n,): theirs among all rows, that `codes` and `duals` are for
    codes: np.ndarray
    duals: np.ndarray


class Group(NamedTuple):
    """Some rows that are taken together, and what their steps change."""

    turn: np.ndarray  # (1,): how many groups came before
    rows: np.ndarray  # (tiles, GROUP, STRIDE): as the machines see them
    scores: np.ndarray  # (pieces, GROUP, classes): sums over a piece's features
    products: np.ndarray  # (pieces, GROUP, GROUP): of a row with each that is not before it
    steps: np.ndarray  # (classes, GROUP): the factors of rows that are to be added to the weights

    @classmethod
    def empty(cls, pieces, weights):
        n_tiles, n_classes, _ = weights.shape
        return cls(
            np.zeros(1, np.int64),
            runtime.recycler.empty((n_tiles, GROUP, STRIDE), weights.dtype),
            np.empty((pieces, GROUP, n_classes), weights.dtype),
            np.empty((pieces, GROUP, GROUP), weights.dtype),
            np.zeros((n_classes, GROUP), weights.dtype),
        )


def in_tiles(weights):
    """A copy of weights (classes, f), as (tiles, classes, STRIDE), filled up with zeros."""
    n_classes, n_features = weights.shape
    tiled = np.zeros((ceil_div(n_features, TILE), n_classes, STRIDE), weights.dtype)
    for tile, start in zip(tiled, range(0, n_features, TILE), strict=True):
        some = weights[:, start : start + TILE]
        tile[:, : some.shape[1]] = some
    return tiled


def out_of_tiles(tiled, n_features):
    """The weights (classes, f) of which `in_tiles` makes `tiled`."""
    n_classes = tiled.shape[1]
    return tiled[..., :TILE].transpose(1, 0, 2).reshape(n_classes, -1)[:, :n_features]


def descend_(
    block,
    places,
    rows,
    codes,
    mean,
    scale,
    half_slack,
    constant,
    duals,
    machines,
    sleep=(True, NEVER),
):
    """One step of every dual variable of some rows. Changes duals and machines in place.

    block (b, f), finite float16, float32 or float64, C-contiguous, holds the features as they are;
    the machines see (block - mean) * scale. The rows at `places` (n,) of it come one after another.
    They are `rows` among all, whose classes are codes, from 0, and whose dual variables are duals
    (all rows, classes), float64. half_slack is 1 / (2 C), what a dual variable weighs by itself;
    constant the square of the feature whose weight is the intercept. machines: `Machines`. sleep:
    whether sleeping variables are woken, and the gradient above which one that is 0 falls asleep.
    """
    machines = Machines(*machines)
    weights = machines.weights
    if not sleep[0]:
        awake = ~np.signbit(duals[rows]).all(axis=1)
        places, rows = places[awake], rows[awake]
    pieces = min(len(weights), PIECES)
    functions = _functions(block.dtype, weights.dtype, weights.shape[1])
    block = block.view(np.int16) if block.dtype == np.float16 else block
    centre = *runtime.plain(mean), np.full(1, scale, weights.dtype)
    # After the last group comes one of no rows, which adds what is left to be added.
    runtime.in_turns(
        _advance,
        _take_steps,
        ceil_div(len(places), GROUP) + 1,
        pieces,
        pieces,
        Rows(block, *runtime.plain(places, rows), codes, duals),
        centre,
        (float(half_slack), float(constant), *sleep),
        functions,
        machines,
        Group.empty(pieces, weights),
    )


def _functions(kind, dtype, n_classes):
    """Numbers in a strip, and functions of vectors: to read rows, add to weights, multiply."""
    strips, tiles, dots = runtime.strips, runtime.microkernel, runtime.dots
    add, last_add = (
        tiles.tile_function(some, 2, dtype, "before", position_step=GROUP, tap_step=STRIDE)
        for some in (CLASSES, n_classes % CLASSES or CLASSES)
    )
    return (
        2 * runtime.machine_code.vector_lanes(dtype),
        strips.fill_function(kind, dtype, centring=True),
        add,
        last_add,
        dots.dots_function(RIGHT, dtype),
        dots.dots_function(n_classes % RIGHT or RIGHT, dtype),
    )


@runtime.kernel
def _advance(piece, pieces, origin, centre, numbers, functions, machines, group):
    """Add what the last group changed to a piece of the weights; read and multiply the next."""
    length, fill, add, last_add, dots, last_dots = functions
    weights, (mean, scale) = machines.weights, centre
    first, end = share(piece, pieces, len(weights))
    n, n_features, n_classes = len(origin.places), len(mean), weights.shape[1]
    start = group.turn[0] * GROUP
    before, some = min(GROUP, n + GROUP - start) if start else 0, min(GROUP, n - start)
    zero = np.zeros(1, np.int32)
    for tile in range(first, end):
        for f in range(0, min(TILE, n_features - tile * TILE), length):
            rows = group.rows, tile * GROUP * STRIDE + f
            for c in range(0, n_classes, CLASSES):
                function = add if c + CLASSES <= n_classes else last_add
                steps = group.steps, c * GROUP
                out = weights, (tile * n_classes + c) * STRIDE + f
                call(function, steps, zero, zero, 1, before, 1, rows, weights, out, STRIDE)
    rest, middle = np.zeros(length, origin.block.dtype), np.zeros(length, mean.dtype)
    for r in range(some):
        place = origin.places[start + r]
        for tile in range(first, end):
            begin = tile * TILE
            whole = min(TILE, n_features - begin) // length
            row = (tile * GROUP + r) * STRIDE
            source = origin.block, place * n_features + begin
            call(fill, source, whole, (group.rows, row), length, (mean, begin), scale)
            begin += whole * length
            few = min(n_features, (tile + 1) * TILE) - begin
            if few > 0:
                for f in range(few):
                    rest[f], middle[f] = origin.block[place, begin + f], mean[begin + f]
                call(fill, rest, 1, (group.rows, row + whole * length), length, middle, scale)
    group.scores[piece] = 0
    group.products[piece] = 0
    for tile in range(first, end):
        vectors = 2 * ceil_div(min(TILE, n_features - tile * TILE), length)
        for r in range(0, some, LEFT):
            left = group.rows, (tile * GROUP + r) * STRIDE
            for c in range(0, n_classes, RIGHT):
                function = dots if c + RIGHT <= n_classes else last_dots
                right = weights, (tile * n_classes + c) * STRIDE
                out = group.scores, (piece * GROUP + r) * n_classes + c
                call(function, left, STRIDE, right, STRIDE, vectors, out, n_classes)
            for later in range(r // RIGHT * RIGHT, some, RIGHT):
                right = group.rows, (tile * GROUP + later) * STRIDE
                out = group.products, (piece * GROUP + r) * GROUP + later
                call(dots, left, STRIDE, right, STRIDE, vectors, out, GROUP)


@runtime.kernel
def _take_steps(piece, pieces, origin, centre, numbers, functions, machines, group):
    """The steps of the group's rows, one after the other, and what they add to the weights."""
    half_slack, constant, waking, deep = numbers
    _, intercepts, balance, violations = machines
    start = group.turn[0] * GROUP
    group.turn[0] += 1
    n, n_classes = min(GROUP, len(origin.places) - start), len(intercepts)
    scores, products = np.zeros((n_classes, max(n, 0))), np.zeros((max(n, 0), max(n, 0)))
    for part in range(pieces):
        for i in range(n):
            for c in range(n_classes):
                scores[c, i] += group.scores[part, i, c]
            for j in range(i, n):
                products[i, j] += group.products[part, i, j]
    group.steps[:] = 0
    for i in range(n):
        row = origin.numbers[start + i]
        # The second derivative of the dual by this row's variable.
        curvature = products[i, i] + constant + half_slack
        for c in range(n_classes):
            old = origin.duals[row, c]
            if not waking and np.signbit(old):
                continue
            sign = 1.0 if origin.codes[row] == c else -1.0
            gradient = sign * (scores[c, i] + intercepts[c]) - 1 + half_slack * old
            new = max(0.0, old - gradient / curvature)
            if new == old:
                if new == 0:
                    origin.duals[row, c] = -0.0 if gradient > deep else 0.0
                continue
            # At 0 only a negative gradient violates anything; the step is 0 there otherwise.
            violations[c] = max(violations[c], abs(new - old) * curvature)
            origin.duals[row, c] = new
            change = sign * (new - old)
            balance[c] += change
            intercepts[c] += constant * change
            group.steps[c, i] = change
            step = group.steps[c, i]
            for j in range(i + 1, n):
                scores[c, j] += step * products[i, j]
