"""Views of bodies: rays through the pixels, the nearest surface, lamps and the shadows they cast.

A body stands on a floor and is turned about the vertical; two cameras look down on it, and lamps
far away stand where they are. Rays are parallel. A ray is taken into the frame of each solid, where
that is a unit solid and the stretch inside it is known in closed form.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

#: How far bodies reach from the middle at most, of an image's side: the inner two thirds are what
#: the table's command looks at.
REACH = 0.32
#: Degrees of azimuth between the two cameras.
BASE = 7.0
#: The floor's share of light thrown back.
FLOOR_GREY = 0.8
#: The six lightings: where the lamp stands (degrees to the right of the camera, and of height), its
#: light, and the light from everywhere.
LAMPS = (
    (-70, 40, 0.75, 0.3),
    (70, 40, 0.75, 0.3),
    (0, 75, 0.6, 0.35),
    (-25, 50, 0.45, 0.25),
    (150, 50, 0.8, 0.4),
    (35, 35, 0.5, 0.5),
)
#: How far shadow rays start off the surface.
OFF = 1e-6


class Surface(NamedTuple):
    """What each pixel of a view sees."""

    points: np.ndarray  # (size, size, 3)
    normals: np.ndarray  # (size, size, 3), outwards, of length 1
    is_body: np.ndarray  # (size, size), not the floor


def draw_pair(body, elevation, azimuth, lightings, size=96):
    """Float64 (lightings, 2, size, size) of 0 to 255: the two views, without noise.

    elevation: of the cameras, in degrees. azimuth: by which the body is turned. lightings: numbers
    of `LAMPS`.
    """
    found = np.empty((len(lightings), 2, size, size))
    for view, aside in enumerate((-BASE / 2, BASE / 2)):
        surface = look(body, camera(elevation, aside - azimuth), size)
        share = 255 * np.where(surface.is_body, body.grey, FLOOR_GREY)
        above = 0.75 + 0.25 * surface.normals[..., 2]
        for place, number in enumerate(lightings):
            around, height, lamp, everywhere = LAMPS[number]
            lit = lamp * facing(body, surface, camera(height, around - azimuth)[2])
            found[place, view] = share * np.minimum(lit + everywhere * above, 1)
    return found


def camera(elevation, around):
    """What is to the right, up and back to the camera, unit vectors (3, 3); angles in degrees."""
    (c, s), (ce, se) = ((np.cos(a), np.sin(a)) for a in np.deg2rad([around, elevation]))
    return np.array([[c, s, 0], [-s * se, c * se, ce], [s * ce, -c * ce, se]])


def look(body, frame, size):
    """The Surface that a camera sees; frame: what `camera` gives."""
    places = ((np.arange(size) + 0.5) / size - 0.5) / REACH  # of columns; of rows, downwards
    points = places[:, None] * frame[0] - places[:, None, None] * frame[1]
    depths = (body.floor - points[..., 2]) / frame[2, 2]  # towards the camera; the floor's
    solids = np.full((size, size), -1)
    middles = body.centres @ frame.T
    reaches = np.abs(frame @ body.axes).sum(axis=2)[:, :2]
    low, high = (REACH * (middles[:, :2] * (1, -1) + side * reaches) + 0.5 for side in (-1, 1))
    box = np.stack([np.floor(low * size), np.ceil(high * size)]).clip(0, size).astype(int)
    rays = frame @ body.inverses.swapaxes(1, 2)
    _see(body.round_axes, middles, rays, box, places, depths, solids)
    points += depths[..., None] * frame[2]
    is_body = solids >= 0
    normals = np.zeros(points.shape)
    normals[..., 2] = 1
    normals[is_body] = _outwards(body, solids[is_body], points[is_body])
    return Surface(points, normals, is_body)


def facing(body, surface, towards):
    """How much of a lamp's light each point gets, (size, size): 0 where a solid is in between.

    towards: where the lamp is, a unit vector. The rest is Lambert's law.
    """
    share = np.maximum(surface.normals @ towards, 0)
    lit = share > 0
    starts = surface.points[lit] + OFF * surface.normals[lit]
    radii = np.square(body.axes).sum(axis=(1, 2))  # squared, of balls around the solids
    share[lit] *= ~_is_hidden(body[:4], radii, starts, towards, body.inverses @ towards)
    return share


def _outwards(body, solids, points):
    """The normals of n points of a surface; solids (n,): of which solid each is."""
    inverses = body.inverses[solids]
    local = np.einsum("nab,nb->na", inverses, points - body.centres[solids])
    round_ = np.arange(3) < body.round_axes[solids, None]
    radius = np.sqrt(np.sum(local**2, axis=1, where=round_))
    flat = np.where(round_, 0, np.abs(local))
    on_side = (radius >= flat.max(axis=1))[:, None]
    on_end = flat == flat.max(axis=1, keepdims=True)
    normals = np.where(np.where(on_side, round_, on_end), local, 0)
    normals = np.einsum("nab,na->nb", inverses, normals)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


@njit
def _see(round_axes, middles, rays, box, places, depths, solids):
    """Put the depth of the nearest surface into `depths`, where it is a solid's, and that's number.

    middles, rays: the solids' centres, and the camera's frame in each solid's. box: the columns and
    rows that a solid may be seen in, from and to.
    """
    start = np.empty(3)
    for k in range(len(middles)):
        x, y, depth = middles[k]
        right, up, back = rays[k, 0], rays[k, 1], rays[k, 2]
        for i in range(box[0, k, 1], box[1, k, 1]):
            for j in range(box[0, k, 0], box[1, k, 0]):
                for a in range(3):
                    start[a] = (places[j] - x) * right[a] - (places[i] + y) * up[a]
                first, last = _inside(round_axes[k], start, back)
                if first < last and depth + last > depths[i, j]:
                    depths[i, j], solids[i, j] = depth + last, k


@njit
def _is_hidden(solids, radii, starts, towards, along):
    """Whether a solid lies between the lamp and each of the points `starts` (n, 3): bool (n,).

    along: towards the lamp, in each solid's frame.
    """
    round_axes, centres, _, inverses = solids
    hidden = np.zeros(len(starts), np.bool_)
    away, start = np.empty(3), np.empty(3)
    for i in range(len(starts)):
        for k in range(len(centres)):
            near, far = 0.0, 0.0
            for a in range(3):
                away[a] = starts[i, a] - centres[k, a]
                near += away[a] * towards[a]
                far += away[a] * away[a]
            if far - near * near > radii[k]:
                continue
            for a in range(3):
                start[a] = 0
                for b in range(3):
                    start[a] += inverses[k, a, b] * away[b]
            first, last = _inside(round_axes[k], start, along[k])
            if first < last and last > 0:
                hidden[i] = True
                break
    return hidden


@njit
def _inside(round_axes, start, along):
    """The least and the largest s of start + s along in a unit solid; the first larger if none."""
    first, last = -np.inf, np.inf
    if round_axes:
        a, b, c = 0.0, 0.0, -1.0
        for axis in range(round_axes):
            a += along[axis] * along[axis]
            b += along[axis] * start[axis]
            c += start[axis] * start[axis]
        root = b * b - a * c
        if root < 0 or (a == 0 and c > 0):
            return 1.0, 0.0
        if a > 0:
            first, last = (-b - np.sqrt(root)) / a, (np.sqrt(root) - b) / a
    for axis in range(round_axes, 3):
        if along[axis] == 0:
            if abs(start[axis]) > 1:
                return 1.0, 0.0
        else:
            middle, half = -start[axis] / along[axis], 1 / abs(along[axis])
            first, last = max(first, middle - half), min(last, middle + half)
    return first, last  # here too the first may be the larger
