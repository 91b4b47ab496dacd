"""Images and features larger than memory: prepared, trained on, encoded and classified.

    python -m tests.campaigns.larger_than_memory --gigabytes 4 --limit 1
    python -m tests.campaigns.larger_than_memory --gigabytes 20 --limit 2

A file of so many gigabytes is made, and all of it is done under a limit of anonymous memory
(RLIMIT_DATA: maps of files do not count). What does not fit raises MemoryError. Linux only.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from minisca import LogisticRegression, SparseConvAutoencoder, Stack
from minisca.preprocessing import contrast_normalise
from tests.support.layers import images as motifs

SIDE = 64


def anonymous_gigabytes():
    """What the process has of its own: the number that the limit is for."""
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmData")).split()[1]) / 2**20


def mapped(path, shape):
    return np.lib.format.open_memmap(path, "w+", "float32", shape)


def make_images(path, gigabytes):
    """A file of float32 images (n, 1, 64, 64), the same few thousand again and again."""
    n = int(gigabytes * 2**30) // (4 * SIDE * SIDE)
    X, few = mapped(path, (n, 1, SIDE, SIDE)), motifs(1000, 1, SIDE, SIDE)
    for start in range(0, n, 1000):
        X[start : start + 1000] = few[: n - start]
    return X


def layer(n_maps):
    return SparseConvAutoencoder(
        n_maps, 3, pool_width=4, pool_stride=4, n_epochs=1, random_state=0, batch_size=100,
        learning_rate=0.002, backend="cpu", verbose=False,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--limit", type=float, default=1, help="gigabytes of anonymous memory")
    parser.add_argument("--folder", help="where the files are made; default: a temporary one")
    asked = parser.parse_args()
    layer(2).fit(motifs(200, 1, SIDE, SIDE))  # what is compiled and loaded takes memory of its own
    most = int(asked.limit * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    told, start = {"at the start": round(anonymous_gigabytes(), 3)}, time.perf_counter()

    def tell(what):
        nonlocal start
        seconds, start = time.perf_counter() - start, time.perf_counter()
        told[what] = {"gigabytes": round(anonymous_gigabytes(), 3), "seconds": round(seconds, 1)}

    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        folder = Path(folder)
        X = make_images(folder / "images.npy", asked.gigabytes)
        tell("images")
        contrast_normalise(X, out=X)
        tell("contrast_normalise")
        stack = Stack([layer(8), layer(4)], centre="above-first").fit(X, scratch=folder)
        tell("Stack.fit")
        below = stack.layers_[0]
        features = mapped(folder / "features.npy", (len(X), *below._features_shape()))
        below.transform(X, out=features)
        tell("transform")
        labels = np.arange(len(X)) % 1000 % 3
        LogisticRegression(max_iter=3, verbose=False).fit(features, labels)
        tell("LogisticRegression.fit")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
