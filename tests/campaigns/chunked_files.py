"""An epoch on HDF5 in compressed chunks, beside one on the same images in one piece.

    python -m tests.campaigns.chunked_files

Prints the processor's seconds of each, and ends with status 1 where a compressed file takes more
than twice those of the contiguous one. More than a group of `minisca.training.chunked`.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from minisca import SparseConvAutoencoder
from tests.support.layers import images

N, CHUNK, MOST = 120_000, 64, 2
FILES = {
    "contiguous": {},
    "lzf": {"chunks": (CHUNK, 1, 28, 28), "compression": "lzf"},
    "gzip": {"chunks": (CHUNK, 1, 28, 28), "compression": "gzip"},
}


def write(path, few, how):
    """N images, the few with noise on a fifth of their pixels, which compresses badly."""
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("x", (N, *few.shape[1:]), "float32", **how)
        for start in range(0, N, len(few)):
            noise = draw.random(few.shape, np.float32) * (draw.random(few.shape) < 0.2)
            stored[start : start + len(few)] = few + noise


def epoch(path):
    """Seconds of the processor."""
    layer = SparseConvAutoencoder(
        16, 7, n_epochs=1, learning_rate=0.005, random_state=0, backend="cpu", verbose=False
    )
    with h5py.File(path) as file:
        start = time.process_time()
        layer.fit(file["x"])
        return round(time.process_time() - start, 2)


def main():
    few, told = images(2000, 1, 28, 28), {}
    with tempfile.TemporaryDirectory() as folder:
        for name, how in FILES.items():
            path = Path(folder) / f"{name}.h5"
            write(path, few, how)
            if not told:
                epoch(path)  # compiles
            told[name] = {"MB": path.stat().st_size >> 20, "seconds": min(map(epoch, [path] * 2))}
    print(json.dumps(told, indent=1))
    seconds = [each["seconds"] for each in told.values()]
    sys.exit(max(seconds) > MOST * seconds[0])


if __name__ == "__main__":
    main()
