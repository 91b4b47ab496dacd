"""Small data sets in the files of CIFAR-10's binary version, written by nothing of minisca's."""

import io
import tarfile

import numpy as np

from tests.support.mnist_files import write

FOLDER = "cifar-10-batches-bin"
NAMES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]


def noise(n=4, seed=0):
    """{file name: (labels (n,), images (n, 3, 32, 32))} of random bytes."""
    rng = np.random.default_rng(seed)
    return {name: (rng.integers(0, 10, n), rng.integers(0, 256, (n, 3, 32, 32))) for name in NAMES}


def bars(n, seed=0):
    """Labels (n,) in turn 0 to 3 and images (n, 3, 32, 32) of a red or green, lying or upright bar.

    The bar's place, its brightness and the noise around it are random.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    images = rng.integers(60, 120, (n, 3, 32, 32))
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(4, 25)
        window = np.s_[place : place + 4, 4:28] if label % 2 else np.s_[4:28, place : place + 4]
        image[label // 2][window] = rng.integers(200, 256)
    return labels, images


def contents(labels, images):
    """A file's bytes, record by record."""
    return np.column_stack([labels, images.reshape(len(images), -1)]).astype(np.uint8).tobytes()


def put(directory, batches):
    """Write {file name: (labels, images)} into a directory; returns it."""
    return write(directory, {name: contents(*batch) for name, batch in batches.items()})


def put_bars(directory, n_per_file=20):
    """Write a whole data set of bars; returns the directory."""
    return put(directory, {name: bars(n_per_file, seed) for seed, name in enumerate(NAMES)})


def put_archive(directory, batches):
    """Write the archive of these files, in an order of its own, into a directory; returns it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        files = {name: contents(*batch) for name, batch in reversed(batches.items())}
        for name, body in {"batches.meta.txt": b"airplane\n", **files}.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return write(directory, {"cifar-10-binary.tar.gz": packed.getvalue()})
