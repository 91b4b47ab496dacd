"""K-means, a block of points at a time: Lloyd's, and the spherical kind.

Lloyd's brings down the mean of ||x - c||^2, c being the centre nearest to x. Spherical k-means
(Coates and Ng, "Learning feature representations with k-means", 2012) has centres of length 1 and
brings down the mean of ||x - <c, x> c||^2, c being the centre with the largest |<c, x>|. Neither
objective ever rises.
"""

import numpy as np

from minisca.baselines.baseline import blocks
from minisca.validation import check_choice, check_integer

ALGORITHMS = ("lloyd", "spherical")

#: Working memory beside the points: products of a block of points with all centres.
BLOCK_BYTES = 32 << 20


def kmeans(points, n_centres, algorithm="lloyd", n_iterations=20, random_state=None, tick=None):
    """Cluster points (n, d), float32 or float64, n >= n_centres.

    Lloyd's starts from points drawn without repetition, spherical from random directions. A centre
    that no point chose is moved to a point: the worse one is served, the likelier. It ends early
    when no centre moves. random_state: int, numpy.random.Generator or None. `tick(objective)`, if
    given, is called after every iteration.

    Returns centres (n_centres, d) and the list of the objectives, each of the centres that an
    iteration began with.
    Raises ValueError or TypeError, naming the argument, for fewer points than centres, another
    rank or dtype, NaN or infinity.
    """
    points, n_centres = _check(points, n_centres, algorithm)
    n_iterations = check_integer("n_iterations", n_iterations)
    random = np.random.default_rng(random_state)
    step = {"lloyd": _Lloyd, "spherical": _Spherical}[algorithm]()
    centres = step.start(points, n_centres, random)
    objectives = []
    for _ in range(n_iterations):
        labels, gains, costs = step.assign(points, centres)
        objectives.append(float(costs.mean(dtype=np.float64)))
        counts = np.bincount(labels, minlength=n_centres)
        moved = step.update(centres, sum_by_label(points, labels, gains, n_centres), counts)
        _reseed(points, counts, costs, step, moved, random)
        if tick is not None:
            tick(objectives[-1])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres, objectives


class _Lloyd:
    """Every centre becomes the mean of the points nearest to it."""

    def start(self, points, n_centres, random):
        rows = random.choice(len(points), n_centres, replace=False, shuffle=True)
        return points[rows]

    def assign(self, points, centres):
        """Of every point: the nearest centre, its weight 1, the squared distance."""
        labels = np.empty(len(points), np.intp)
        costs = np.empty(len(points), points.dtype)
        half_norms = np.einsum("kd,kd->k", centres, centres) / 2
        for rows in _blocks(points, centres):
            part = points[rows]
            nearness = part @ centres.T
            nearness -= half_norms
            labels[rows] = nearness.argmax(axis=1)
            # from the difference: what the products cancel would make the objective rise
            difference = part - centres[labels[rows]]
            costs[rows] = np.einsum("nd,nd->n", difference, difference)
        return labels, np.ones(len(points), points.dtype), costs

    def update(self, centres, sums, counts):
        means = sums / np.maximum(counts, 1)[:, None]
        return np.where(counts[:, None] > 0, means, centres).astype(centres.dtype)

    def seed(self, point):
        return point


class _Spherical:
    """Every centre takes one step of power iteration towards its points' main direction.

    A point weighs as much as it projects on the centre; the centre itself is added, which damps.
    """

    def start(self, points, n_centres, random):
        directions = random.standard_normal((n_centres, points.shape[1]))
        return self.seed(directions).astype(points.dtype)

    def assign(self, points, centres):
        """Of every point: the centre with the largest |<c, x>|, that product, what is left of x."""
        labels = np.empty(len(points), np.intp)
        gains = np.empty(len(points), points.dtype)
        costs = np.empty(len(points), points.dtype)
        for rows in _blocks(points, centres):
            part = points[rows]
            products = part @ centres.T
            labels[rows] = np.abs(products).argmax(axis=1)
            gains[rows] = np.take_along_axis(products, labels[rows, None], axis=1)[:, 0]
            residual = part - gains[rows, None] * centres[labels[rows]]
            costs[rows] = np.einsum("nd,nd->n", residual, residual)
        return labels, gains, costs

    def update(self, centres, sums, counts):
        return self.seed(sums + centres).astype(centres.dtype)

    def seed(self, point):
        length = np.linalg.norm(point, axis=-1, keepdims=True)
        return point / np.where(length > 0, length, 1)


def sum_by_label(points, labels, weights, n_labels):
    """Sums of the weighted points of every label: (n_labels, d) float64, in one fixed order."""
    sums = np.zeros((n_labels, points.shape[1]))
    for rows in blocks(len(points), 2 * points.shape[1] * points.itemsize, BLOCK_BYTES):
        order = np.argsort(labels[rows], kind="stable")
        found, starts = np.unique(labels[rows][order], return_index=True)
        weighted = points[rows][order] * weights[rows][order, None]
        sums[found] += np.add.reduceat(weighted, starts, axis=0, dtype=np.float64)
    return sums


def _reseed(points, counts, costs, step, centres, random):
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
        centres[empty[:n]] = step.seed(points[drawn])


def _blocks(points, centres):
    per_point = (len(centres) + 2 * points.shape[1]) * points.itemsize
    return blocks(len(points), per_point, BLOCK_BYTES)


def _check(points, n_centres, algorithm):
    points = np.asarray(points)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"points has shape {points.shape}; it must be (n, d), no side 0")
    if points.dtype not in (np.float32, np.float64):
        raise TypeError(f"points has dtype {points.dtype}; it must be float32 or float64")
    if not np.isfinite(points).all():
        raise ValueError("points has NaN or infinite values; every value must be finite")
    check_choice("algorithm", algorithm, ALGORITHMS)
    n_centres = check_integer("n_centres", n_centres)
    if n_centres > len(points):
        raise ValueError(
            f"points has {len(points)} rows; for n_centres = {n_centres} it must have as many at "
            "least"
        )
    return np.ascontiguousarray(points), n_centres
