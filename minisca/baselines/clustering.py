"""K-means by Lloyd's algorithm, a block of points at a time.

It brings down the mean of ||x - c||^2, c being the centre nearest to x, which never rises.
"""

import numpy as np

from minisca.backends import get_backend
from minisca.chunks import chunks
from minisca.validation import as_array, check_floats, check_integer, check_unmasked, make_generator


def kmeans(points, n_centres, n_iterations=20, random_state=None, tick=None, backend="cpu"):
    """Cluster points. It ends early when no centre moves.

    Parameters
    ----------
    points : array (n, d), float32 or float64, n >= n_centres
    n_centres : int
        They start at points drawn without repetition. A centre that no point chose is moved to a
        point: the worse one is served, the likelier.
    n_iterations : int, default 20
    random_state : int, numpy.random.Generator or None, default None
    tick : callable or None
        `tick(objective)` is called after every iteration.
    backend : str, default "cpu"
        Where the nearest centres are found: "cpu", "cupy", "numba_cuda" or "auto".

    Returns
    -------
    centres : array (n_centres, d) of the points' dtype
    objectives : list of float
        Each of the centres that an iteration began with.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, for fewer points than centres, another rank or dtype, NaN or infinity.
    """
    points, n_centres = _check(points, n_centres)
    n_iterations = check_integer("n_iterations", n_iterations)
    random, column = make_generator(random_state), get_backend(backend)
    there = column.to_device(points)
    centres = points[random.choice(len(points), n_centres, replace=False, shuffle=True)]
    objectives = []
    for _ in range(n_iterations):
        labels, costs = map(column.to_host, column.nearest(there, centres))
        objectives.append(float(costs.mean(dtype=np.float64)))
        counts = np.bincount(labels, minlength=n_centres)
        means = sum_by_label(points, labels, n_centres) / np.maximum(counts, 1)[:, None]
        moved = np.where(counts[:, None] > 0, means, centres).astype(centres.dtype)
        _reseed(points, counts, costs, moved, random)
        if tick is not None:
            tick(objectives[-1])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres, objectives


def sum_by_label(points, labels, n_labels):
    """Sums of the points of every label: (n_labels, d) float64, in one fixed order."""
    sums = np.zeros((n_labels, points.shape[1]))
    for rows in chunks(len(points), 2 * points.shape[1] * points.itemsize):
        order = np.argsort(labels[rows], kind="stable")
        found, starts = np.unique(labels[rows][order], return_index=True)
        sums[found] += np.add.reduceat(points[rows][order], starts, axis=0, dtype=np.float64)
    return sums


def _reseed(points, counts, costs, centres, random):
    """Move every centre without points to a point, drawn as its cost is high, in place.

    No point of the iteration belonged to such a centre, so that its old place did not count. Drawn
    (as k-means++ draws) and not simply the worst: those are outliers that serve nothing else.
    """
    empty = np.flatnonzero(counts == 0)
    badly_served = np.flatnonzero(costs > 0)
    n = min(len(empty), len(badly_served))  # a point that has a centre needs no other
    if n:
        odds = costs[badly_served].astype(np.float64)
        drawn = random.choice(badly_served, n, replace=False, p=odds / odds.sum())
        centres[empty[:n]] = points[drawn]


def _check(points, n_centres):
    check_unmasked("points", points)
    points = as_array("points", points, "(n, d)")
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"points has shape {points.shape}; it must be (n, d), no side 0")
    check_floats("points", points)
    if not np.isfinite(points).all():
        raise ValueError("points has NaN or infinite values; every value must be finite")
    n_centres = check_integer("n_centres", n_centres)
    if n_centres > len(points):
        must = f"for n_centres = {n_centres} it must have as many at least"
        raise ValueError(f"points has {len(points)} rows; {must}")
    return np.ascontiguousarray(points), n_centres
