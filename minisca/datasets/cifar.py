"""CIFAR-10's binary version: find, fetch, check and load it. Nothing is ever unpickled.

A record is a label byte, then 3,072 bytes of pixels: a red, a green and a blue plane of 32 x 32,
row by row. CIFAR-10 is known by the checksum of its archive, or by sums of its pixels.
"""

import hashlib
import os
import tarfile

import numpy as np

from minisca.datasets.dataset import Dataset
from minisca.datasets.download import download as download_file
from minisca.datasets.errors import DatasetError, DatasetNotFoundError, within_memory
from minisca.datasets.locate import Source, check_checksum, find, name_after
from minisca.types import PathLike

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
ARCHIVE = "cifar-10-binary.tar.gz"
#: Of the archive, packed as it is: all that CIFAR-10's authors publish to check it by.
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MAX_BYTES = 256 << 20  # the archive has 170,052,171
FOLDER = "cifar-10-batches-bin"
HALVES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
FILES = {name: name for names in HALVES.values() for name in names}

SIZE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
MAX_RECORDS = 10_000  # in each of CIFAR-10's own files
CLASS_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

#: Red, green and blue summed over all pixels. No checksums of the unpacked files are published, but
#: each colour's mean is, to the last digit (training: 125.306918046875, 122.950394140625,
#: 113.86538318359375); recompressed or altered images have other sums.
PIXEL_SUMS = {
    "train": (6_415_714_204, 6_295_060_180, 5_829_907_619),
    "test": (1_290_492_328, 1_266_775_083, 1_176_108_223),
}


def load_cifar10(data_dir: PathLike | None = None, download: bool = True) -> Dataset:
    """Load CIFAR-10, or other images stored in files of its binary version.

    The archive cifar-10-binary.tar.gz, or the files data_batch_1.bin to data_batch_5.bin and
    test_batch.bin out of it, are looked for as `load_mnist` looks for its files: in a directory,
    in its folder `cifar-10-batches-bin`, in the cache `minisca/cifar-10`. An archive must have
    CIFAR-10's MD5; unpacked files may have any number of records up to its 10,000 a file. What
    torchvision keeps, cifar-10-python.tar.gz and `cifar-10-batches-py`, is pickled and not read.

    Parameters
    ----------
    data_dir, download : as of `load_mnist`

    Returns
    -------
    Dataset
        Images float32 (n, 3, 32, 32) in [0, 1], labels int64 (n,) of 0 to 9. Its `name` is
        "CIFAR-10" only for the archive and for files whose pixels add up to CIFAR-10's, else that
        of their directory.

    Raises
    ------
    As `load_mnist`; DatasetNotFoundError if there is no data set and none can be downloaded.

    References
    ----------
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, chapter 3.
    """
    paths, _, missing = find(SOURCE, data_dir, download)
    if missing:
        raise DatasetNotFoundError(
            f"CIFAR-10 is not here: give the directory of {CALLED} as "
            f"data_dir or in the environment variable MINISCA_DATA. It is {missing}"
        )
    with within_memory(f"the data set in {paths['test_batch.bin'].parent}"):
        return _load(paths)


def _fetch(cache):
    if not (cache / ARCHIVE).is_file():
        urls = [f"{mirror}{ARCHIVE}" for mirror in MIRRORS]
        options = {"max_bytes": MAX_BYTES, "algorithm": "md5", "as_served": True}
        download_file(urls, cache / ARCHIVE, MD5, **options)


CANDIDATES = {name: (ARCHIVE, name) for name in FILES}  # the archive stands for all six
CALLED = f"{ARCHIVE} or the six files in it (cifar-10-batches-py is pickled and not read)"
SOURCE = Source((FOLDER,), "cifar-10", FILES, CANDIDATES, CALLED, _fetch)


def _load(paths):
    source = paths["test_batch.bin"]
    if source.name == ARCHIVE:
        records = _read_archive(source)
    else:
        records = {}
        for name, path in paths.items():
            with open(path, "rb") as file:
                records[name] = _read_records(file, os.fstat(file.fileno()).st_size, path)
    halves = {half: [records[name] for name in names] for half, names in HALVES.items()}
    original = all(_pixel_sums(halves[half]) == sums for half, sums in PIXEL_SUMS.items())
    folder = source.parent.resolve()
    known = source.name == ARCHIVE or original
    arrays = {}
    for half, batches in halves.items():
        pixels = np.concatenate([batch[:, 1:] for batch in batches]).reshape(-1, *SIZE)
        arrays[f"{half}_images"] = np.divide(pixels, 255, dtype=np.float32)
        arrays[f"{half}_labels"] = np.concatenate([batch[:, 0] for batch in batches], dtype="int64")
    name = "CIFAR-10" if known else name_after(folder, FOLDER, "cifar-10", "cifar10")
    return Dataset(**arrays, name=name, source=str(folder))


def _read_archive(path):
    """The records of the six files in the archive, by name: nothing is unpacked onto the disk."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
        check_checksum(path, "MD5", found, "CIFAR-10's has", MD5)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            # In the archive's own order: to look a member up would unpack it all again.
            members = ((member.name.removeprefix(f"{FOLDER}/"), member) for member in archive)
            return {
                name: _read_records(archive.extractfile(member), member.size, f"{name} in {path}")
                for name, member in members
                if name in FILES
            }


def _read_records(file, size, path):
    """Records (n, 3073) uint8 of an open file of `size` bytes, which is looked at first."""
    n, rest = divmod(size, RECORD)
    if n == 0 or rest:
        raise DatasetError(
            f"{path} has {size} bytes, {n} records and {rest} bytes; a batch of CIFAR-10's binary "
            f"version has one or more whole records of {RECORD} bytes"
        )
    if n > MAX_RECORDS:
        raise DatasetError(f"{path} has {n} records; it must have {MAX_RECORDS} at most")
    records = np.frombuffer(file.read(size), np.uint8).reshape(n, RECORD)
    wrong = np.flatnonzero(records[:, 0] >= len(CLASS_NAMES))
    if len(wrong):
        raise DatasetError(
            f"{path} has the label {records[wrong[0], 0]} in record {wrong[0]}; "
            f"labels must be from 0 to {len(CLASS_NAMES) - 1}"
        )
    return records


def _pixel_sums(batches):
    planes = [batch[:, 1:].reshape(len(batch), SIZE[0], -1) for batch in batches]
    sums = sum(plane.sum(axis=(0, 2), dtype=np.int64) for plane in planes)
    return tuple(sums.tolist())
