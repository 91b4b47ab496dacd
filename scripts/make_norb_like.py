"""A made set of stereo pairs in small NORB's format and size, where that is not at hand.

    python scripts/make_norb_like.py                        24,300 pairs a half
    python scripts/make_norb_like.py --pairs 500            the first 500 of each

    python scripts/reproduce_norb.py --data-dir out/norb-like --label "made, NORB's format"
    python scripts/figures.py 5 --data-dir out/norb-like --label "made, NORB's format"

Five categories (animals, humans, airplanes, trucks, cars) have ten bodies each, put together from
ellipsoids, cylinders and boxes in proportions that are drawn at random. Five bodies of each are in
the training half and the other five in the test half. Each is seen under 6 lightings, turned to 18
azimuths, from 9 elevations, by two cameras: 96 x 96 pixels, with shadows, and noise of two grey
levels. No part of it was chosen by a result. Errors on it compare with nothing published.

The six files have the names, headers, dtypes and fields of small NORB's. Categories follow each
other in turn; within one the order is random. The same --seed gives the same files.
"""

from itertools import product
from pathlib import Path

import numpy as np
from common.data_files import run_command
from common.options import check_counts, check_seeds, make_parser
from norb_like.bodies import make_body
from norb_like.views import LAMPS, draw_pair

from minisca.chunks import slices
from minisca.datasets.norb import CLASS_NAMES, FILES, FOLDER, HALVES, KINDS
from minisca.datasets.norb_matrix import write_norb_matrix
from minisca.progress import progress

SIZE = 96
#: Of the cameras, in degrees, by their numbers; and by tens of how many degrees bodies are turned.
ELEVATIONS = range(30, 75, 5)
AZIMUTHS = range(0, 36, 2)
#: Standard deviation of what the camera adds, in grey levels.
NOISE = 2.0


def instances(half):
    """The bodies of a half: its files' names have their numbers, "smallnorb-5x46789x9x18..."."""
    return [int(digit) for digit in HALVES[half].split("x")[1]]


def make_half(half, seed, n_pairs=None):
    """The first pairs (n, 2, 96, 96) uint8 of a half, all by default, their labels and infos."""
    random = np.random.default_rng([seed, *instances(half)])
    labels, infos = (array[:n_pairs] for array in ordered(half, random))
    pairs = draw_pairs(labels, infos, seed, half)
    for rows in slices(len(pairs), 100):
        found = pairs[rows] + NOISE * random.standard_normal(pairs[rows].shape, np.float32)
        pairs[rows] = np.clip(np.rint(found), 0, 255)
    return pairs, labels, infos


def ordered(half, random):
    """Labels (n,) and infos (n, 4) int32 of a half: the body, elevation, azimuth and lighting."""
    seen = [*product(instances(half), range(len(ELEVATIONS)), AZIMUTHS, range(len(LAMPS)))]
    n_categories = len(CLASS_NAMES)
    orders = [random.permutation(len(seen)) for _ in range(n_categories)]
    infos = np.array(seen, np.int32)[np.stack(orders, axis=1).ravel()]
    return np.arange(len(infos), dtype=np.int32) % n_categories, infos


def draw_pairs(labels, infos, seed, desc):
    """The pairs without noise; views that differ in their lighting alone are drawn together."""
    bodies = {}
    for which in zip(labels.tolist(), infos[:, 0].tolist(), strict=True):
        bodies[which] = bodies.get(which) or make_body(*which, seed)
    pairs = np.empty((len(labels), 2, SIZE, SIZE), np.uint8)
    views = np.column_stack([labels, infos[:, :3]])
    found, numbers = np.unique(views, axis=0, return_inverse=True)
    numbers = numbers.ravel()  # NumPy 2.0 gives them a shape of their own
    groups = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])
    with progress(True, total=len(found), unit=" views", desc=desc) as bar:
        for view, rows in zip(found.tolist(), groups, strict=True):
            label, instance, elevation, azimuth = view
            degrees = ELEVATIONS[elevation], 10 * azimuth
            pairs[rows] = draw_pair(bodies[label, instance], *degrees, infos[rows, 3], SIZE)
            bar.update()
    return pairs


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--seed", type=int, default=0, help="random seed; default: 0")
    parser.add_argument("--pairs", type=int, help="the first so many of each half; default: all")
    folder = "out/norb-like"
    parser.add_argument("--output", default=folder, help=f"directory to write; default: {folder}")
    arguments = parser.parse_args()
    check_counts(parser, arguments, "pairs")
    check_seeds(parser, arguments)
    for half in HALVES:
        arrays = make_half(half, arguments.seed, arguments.pairs)
        for kind, array in zip(KINDS, arrays, strict=True):
            path = Path(arguments.output) / FOLDER / FILES[f"{half}_{kind}"]
            write_norb_matrix(path, array)
            print(f"{path}: {array.dtype} {array.shape}")


if __name__ == "__main__":
    run_command(main)
