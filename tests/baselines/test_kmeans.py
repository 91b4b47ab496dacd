"""K-means descends, and finds what is there."""

import numpy as np
import pytest

from minisca.baselines import kmeans
from minisca.baselines.clustering import sum_by_label


def clouds(n=300, seed=0, dtype=np.float64):
    """Points around five places far apart, in a random order: (n, 4)."""
    rng = np.random.default_rng(seed)
    places = 10 * np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]])
    points = places[rng.integers(5, size=n)] + 0.1 * rng.standard_normal((n, 4))
    return points.astype(dtype), places


def objective(points, centres):
    """The mean cost of the centres, straight from its definition, point by point."""
    costs = [min(np.sum((point - centre) ** 2) for centre in centres) for point in points]
    return sum(costs) / len(points)


@pytest.mark.parametrize("n_centres", [1, 7, 60])
def test_the_objective_never_rises(n_centres, dtype):
    points = np.random.default_rng(1).standard_normal((500, 6)).astype(dtype)
    _, objectives = kmeans(points, n_centres, n_iterations=30, random_state=0)
    # centres, differences and squares are rounded, each by less than ten eps of the points' energy
    slack = 10 * np.finfo(dtype).eps * np.mean(np.sum(points**2, axis=1))
    assert np.all(np.diff(objectives) <= slack)
    assert objectives[-1] < objectives[0]


def test_the_objective_is_its_definition_and_told_after_every_iteration():
    points, _ = clouds()
    told = []
    first, _ = kmeans(points, 5, n_iterations=1, random_state=0)
    _, objectives = kmeans(points, 5, n_iterations=2, random_state=0, tick=told.append)
    assert objectives[1] == pytest.approx(objective(points, first), rel=1e-9)
    assert told == objectives


def test_lloyds_centres_are_the_means_of_their_points():
    points, places = clouds()
    centres, _ = kmeans(points, 5, random_state=0, n_iterations=50)
    owner = np.square(points[:, None] - centres).sum(axis=2).argmin(axis=1)
    for number, centre in enumerate(centres):
        np.testing.assert_allclose(centre, points[owner == number].mean(axis=0), atol=1e-12)
    # every cloud has one: the seeds leave no centre idle between two of them
    nearest = np.square(places[:, None] - centres).sum(axis=2).min(axis=1)
    assert np.sum(nearest < 0.1) >= 3


def test_centres_without_points_are_moved_to_points_that_are_served_badly():
    rng = np.random.default_rng(2)
    points = np.repeat([[1.0, 0.0, 0.0]], 200, axis=0) * rng.uniform(1, 2, (200, 1))
    points[:3] = [[0, 1, 0], [0, 0, 5], [0, 3, 4]]
    centres, objectives = kmeans(points, 4, n_iterations=20, random_state=0)
    served = objective(points, centres)
    assert served < 0.2  # the three strays have centres, and the line has what it needs
    assert np.all(np.diff(objectives) <= 1e-12)


def test_as_many_centres_as_different_points_or_more_leave_nothing_over():
    points = np.tile([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], (10, 1))
    centres, _ = kmeans(points, 7, n_iterations=10, random_state=0)
    assert np.isfinite(centres).all()
    assert objective(points, centres) < 1e-3
    points, _ = clouds(n=20)
    centres, objectives = kmeans(points, 20, random_state=0)
    assert objectives == [0.0]
    np.testing.assert_array_equal(np.sort(centres, axis=0), np.sort(points, axis=0))


def test_blocks_of_points_change_nothing_but_rounding(monkeypatch):
    points, _ = clouds()
    whole, _ = kmeans(points, 9, random_state=0)
    monkeypatch.setattr("minisca.chunks.CHUNK_BYTES", 1000)
    in_blocks, _ = kmeans(points, 9, random_state=0)
    np.testing.assert_allclose(in_blocks, whole, rtol=1e-10, atol=1e-10)


def test_sums_by_label_are_those_of_a_loop(monkeypatch):
    rng = np.random.default_rng(3)
    points, labels = rng.integers(-3, 4, (50, 3)).astype(float), rng.integers(0, 6, 50)
    labels[labels == 2] = 3  # a label that nothing has
    expected = np.zeros((6, 3))
    for point, label in zip(points, labels, strict=True):
        expected[label] += point
    monkeypatch.setattr("minisca.chunks.CHUNK_BYTES", 500)
    np.testing.assert_array_equal(sum_by_label(points, labels, 6), expected)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    points = np.random.default_rng(4).standard_normal((200, 5)).astype(np.float32)
    one, two, other = (kmeans(points, 8, random_state=s)[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_centres": 301}, ValueError, "points has 300 rows; for n_centres = 301"),
        ({"n_centres": 0}, ValueError, "n_centres is 0"),
        ({"n_iterations": 0}, ValueError, "n_iterations is 0"),
        ({"points": np.zeros(5)}, ValueError, r"points has shape \(5,\); it must be \(n, d\)"),
        ({"points": np.zeros((5, 0))}, ValueError, r"points has shape \(5, 0\)"),
        ({"points": np.zeros((9, 2), int)}, TypeError, "points has dtype int64"),
        ({"points": np.full((9, 2), np.nan)}, ValueError, "points has NaN or infinite values"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        kmeans(**{"points": clouds()[0], "n_centres": 5, **change})
