"""Small data sets in MNIST's four files, written by nothing of minisca's."""

import gzip
import hashlib
import struct

import numpy as np

NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def write(directory, files):
    """Write {file name: bytes} into a directory, gzipped where a name ends in .gz; returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        packed = gzip.compress(body, 1, mtime=0) if name.endswith(".gz") else body
        (directory / name).write_bytes(packed)
    return directory


def noise(seed=0, size=(6, 5), n_train=20, n_test=10):
    """{role: array} of random bytes: images (n, *size) and labels (n,)."""
    rng = np.random.default_rng(seed)
    shapes = (n_train, *size), (n_train,), (n_test, *size), (n_test,)
    return {
        role: rng.integers(0, 256, shape, dtype=np.uint8)
        for role, shape in zip(NAMES, shapes, strict=True)
    }


def header(dtype, shape):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def contents(array):
    """The bytes of an IDX file."""
    return header(array.dtype, array.shape) + array.tobytes()


def checksums(arrays):
    """{role: SHA-256 of the unpacked file}."""
    return {role: hashlib.sha256(contents(array)).hexdigest() for role, array in arrays.items()}


def put(directory, arrays, ending="", dotted=False):
    """Write {role: array} into a directory, gzipped for the ending ".gz"; returns it."""
    names = {
        role: NAMES[role].replace("-idx", ".idx") if dotted else NAMES[role] for role in arrays
    }
    files = {f"{names[role]}{ending}": contents(array) for role, array in arrays.items()}
    return write(directory, files)


def put_bars(directory, n_train, n_test, side=28, classes=4):
    """Write images of an upright or a lying bar, at one of two places: up to four classes in turn.

    Returns the directory.
    """
    random = np.random.default_rng(0)
    arrays = {}
    for half, n in (("train", n_train), ("test", n_test)):
        labels = np.arange(n, dtype=np.uint8) % classes
        images = random.integers(0, 40, (n, side, side), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            place = 4 + 5 * (label // 2)
            bar = np.s_[place : place + 3, 2:-2] if label % 2 else np.s_[2:-2, place : place + 3]
            image[bar] = 255
        arrays |= {f"{half}_images": images, f"{half}_labels": labels}
    return put(directory, arrays)
