"""Solids that bodies are put together from: ellipsoids, cylinders and boxes, anywhere and anyhow.

Each is a unit solid, moved, turned and stretched. Of the three coordinates of a unit solid's points
the first `round_axes` lie in the unit ball, the others in [-1, 1]: 3 is a ball, 2 a cylinder along
the third axis, 0 a cube. A body's x points ahead, y to its left, z up.
"""

from typing import NamedTuple

import numpy as np

BALL, CYLINDER, CUBE = 3, 2, 0
#: Points of the unit solids that reach farthest out, nearly.
_CORNERS = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T


class Solid(NamedTuple):
    """A unit solid's points p become centre + axes @ p."""

    round_axes: int
    centre: np.ndarray  # (3,)
    axes: np.ndarray  # (3, 3), a half-axis a column


class Body(NamedTuple):
    """p solids about the origin, which reach 1 far or hardly more, standing on a floor."""

    round_axes: np.ndarray  # (p,)
    centres: np.ndarray  # (p, 3)
    axes: np.ndarray  # (p, 3, 3)
    inverses: np.ndarray  # (p, 3, 3), of the axes
    floor: float  # its height, below 0
    grey: float  # what share of the light it throws back


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    """The matrix that turns to the left, the nose up, and the left side up, by degrees."""
    (a, b, c), (d, e, f) = (g(np.deg2rad([yaw, pitch, roll])) for g in (np.cos, np.sin))
    around_z = np.array([[a, -d, 0], [d, a, 0], [0, 0, 1]])
    around_y = np.array([[b, 0, -e], [0, 1, 0], [e, 0, b]])
    around_x = np.array([[1, 0, 0], [0, c, -f], [0, f, c]])
    return around_z @ around_y @ around_x


def ellipsoid(centre, radii, turn=None):
    return _solid(BALL, centre, radii, turn)


def box(centre, halves, turn=None):
    """A cuboid; halves: of its sides."""
    return _solid(CUBE, centre, halves, turn)


def rod(start, end, radius):
    """A cylinder from one point to another."""
    start, end = np.array([start, end], float)
    along = (end - start) / 2
    length = np.linalg.norm(along)
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    across *= radius / np.linalg.norm(across)
    axes = np.stack([across, np.cross(along, across) / length, along], axis=1)
    return Solid(CYLINDER, (start + end) / 2, axes)


def _solid(round_axes, centre, halves, turn):
    turn = np.eye(3) if turn is None else turn
    return Solid(round_axes, np.array(centre, float), turn * np.array(halves, float))


def mirrored(solid):
    """The same on the other side: y becomes -y."""
    flip = np.array([1.0, -1.0, 1.0])
    return Solid(solid.round_axes, solid.centre * flip, solid.axes * flip[:, None])


def assembled(solids, grey):
    """The Body of these solids, moved and scaled to its size."""
    points = np.concatenate([_outermost(solid) for solid in solids])
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    scale = 1 / np.linalg.norm(points - middle, axis=1).max()
    axes = scale * np.array([solid.axes for solid in solids])
    return Body(
        round_axes=np.array([solid.round_axes for solid in solids]),
        centres=scale * (np.array([solid.centre for solid in solids]) - middle),
        axes=axes,
        inverses=np.linalg.inv(axes),
        floor=scale * (low - middle)[2],
        grey=grey,
    )


def _outermost(solid):
    """Points (14, 3) of a solid's surface: the ends of its axes, and between them."""
    corners = _CORNERS.copy()
    corners[:, : solid.round_axes] /= np.sqrt(max(solid.round_axes, 1))
    return np.concatenate([corners, np.eye(3), -np.eye(3)]) @ solid.axes.T + solid.centre
