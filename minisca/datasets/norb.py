"""Small NORB: find, fetch, check and load it. Toys in five categories, seen by two cameras.

The original is known by the SHA-256 of its six files as they are published, gzipped.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from minisca.datasets.dataset import Dataset, check_one_size
from minisca.datasets.errors import DatasetError, DatasetNotFoundError, within_memory
from minisca.datasets.locate import Source, check_checksum, find, name_after
from minisca.datasets.norb_matrix import read_norb_matrix
from minisca.types import PathLike

MIRRORS = ("https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",)
FOLDER = "smallnorb"
HALVES = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
CLASS_NAMES = ("animal", "human", "airplane", "truck", "car")
#: What the four columns of the info files are, and the largest number in each.
INFO = {"instance": 9, "elevation": 8, "azimuth": 34, "lighting": 5}
#: What each kind of file holds: its name in messages, its dtype, and its sides after the first.
KINDS = {
    "dat": ("stereo pairs", "uint8", (2, "height", "width")),
    "cat": ("labels", "int32", ()),
    "info": ("infos", "int32", (len(INFO),)),
}

FILES = {f"{half}_{kind}": f"{stem}-{kind}.mat" for half, stem in HALVES.items() for kind in KINDS}
#: Of the files as they are published, gzipped.
SHA256 = {
    "train_dat": "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873",
    "train_cat": "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa",
    "train_info": "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32",
    "test_dat": "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474",
    "test_cat": "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff",
    "test_info": "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2",
}
MAX_BYTES = 512 << 20  # the largest of the six unpacks to 447,897,624


@dataclass(frozen=True, eq=False)
class StereoDataset(Dataset):
    """A Dataset of stereo pairs.

    Attributes
    ----------
    train_images, test_images : uint8 arrays (n, 2, height, width)
        The left and the right view, as in the files (float32 would take small NORB 3.6 GB).
    train_info, test_info : int32 arrays (n, 4)
        Instance (0 to 9), elevation (0 to 8), azimuth (0 to 34, in tens of degrees) and lighting (0
        to 5).
    """

    train_info: np.ndarray = field(repr=False)
    test_info: np.ndarray = field(repr=False)


def load_norb(data_dir: PathLike | None = None, download: bool = True) -> StereoDataset:
    """Load small NORB, or other stereo pairs stored in files of the same names.

    The files smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat, -cat.mat and -info.mat, and
    smallnorb-5x01235x9x18x6x2x96x96-testing-dat.mat and so on, plain or .gz, are looked for as
    `load_mnist` looks for its files: in a directory, in its folder `smallnorb`, in the cache
    `minisca/smallnorb`, where they must have small NORB's checksums. Elsewhere they may be any
    pairs of one size, any number of them.

    Parameters
    ----------
    data_dir, download : as of `load_mnist`

    Returns
    -------
    StereoDataset
        Images uint8 (n, 2, height, width), labels int64 (n,) of 0 to 4 (animal, human, airplane,
        truck, car), info int32 (n, 4). Its `name` is "small NORB" only where all six files are
        small NORB's, gzipped as they are published (of unpacked files no checksums are known), else
        that of the directory.

    Raises
    ------
    As `load_mnist`; DatasetNotFoundError if there is no data set and none can be downloaded.

    References
    ----------
    Y. LeCun, F. J. Huang and L. Bottou, "Learning methods for generic object recognition with
    invariance to pose and lighting", CVPR 2004.
    """
    paths, cached, missing = find(SOURCE, data_dir, download)
    if missing:
        raise DatasetNotFoundError(
            "small NORB is not here: give the directory of its six files as data_dir or in the "
            f"environment variable MINISCA_DATA. They are {missing}"
        )
    with within_memory(f"the data set in {paths['train_dat'].parent}"):
        return _load(paths, only_norb=cached)


def _fetch(cache):
    SOURCE.fetch_gzipped(cache, MIRRORS, SHA256, max_bytes=MAX_BYTES, as_served=True)


CANDIDATES = {role: (f"{name}.gz", name) for role, name in FILES.items()}
CALLED = "the six files of small NORB (each may end in .gz)"
SOURCE = Source((FOLDER,), FOLDER, FILES, CANDIDATES, CALLED, _fetch)


def _load(paths, only_norb=False):
    found = {}
    for role, path in paths.items():
        with open(path, "rb") as file:
            found[role] = hashlib.file_digest(file, "sha256").hexdigest()
        if only_norb:
            check_checksum(path, "SHA-256", found[role], "small NORB's has", SHA256[role])
    arrays = {role: read_norb_matrix(path) for role, path in paths.items()}
    for half in HALVES:
        _check_half(half, arrays, paths)
    check_one_size(arrays, paths, "train_dat", "test_dat")
    folder = paths["train_dat"].parent.resolve()
    note = "not the original files, or unpacked"
    name = "small NORB" if found == SHA256 else name_after(folder, FOLDER, "norb", note=note)
    roles = {}
    for half in HALVES:
        roles[f"{half}_images"] = arrays[f"{half}_dat"]
        roles[f"{half}_labels"] = arrays[f"{half}_cat"].astype(np.int64)
        roles[f"{half}_info"] = arrays[f"{half}_info"]
    return StereoDataset(**roles, name=name, source=str(folder))


def _check_half(half, arrays, paths):
    """Refuse pairs, labels and infos that are none or do not fit together."""
    n = len(arrays[f"{half}_dat"])
    for kind, (what, dtype, sides) in KINDS.items():
        array, path = arrays[f"{half}_{kind}"], paths[f"{half}_{kind}"]
        fits = array.ndim == 1 + len(sides) and all(
            isinstance(side, str) or side == found
            for side, found in zip(sides, array.shape[1:], strict=True)
        )
        if array.dtype != dtype or not fits:
            shape = f"(n, {', '.join(map(str, sides))})" if sides else "(n,)"
            raise DatasetError(
                f"{path} holds {array.dtype} of shape {array.shape}; {what} must be {dtype} of "
                f"shape {shape}"
            )
        if len(array) != n:
            raise DatasetError(
                f"{paths[f'{half}_dat']} has {n} pairs but {path} has {len(array)} {what}; "
                "there must be one a pair"
            )
    labels, infos = f"{half}_cat", f"{half}_info"
    _check_range(arrays[labels], "label", len(CLASS_NAMES) - 1, paths[labels])
    for column, (what, largest) in enumerate(INFO.items()):
        _check_range(arrays[infos][:, column], what, largest, paths[infos])


def _check_range(values, what, largest, path):
    wrong = np.flatnonzero((values < 0) | (values > largest))
    if len(wrong):
        raise DatasetError(
            f"{path} has the {what} {values[wrong[0]]} for pair {wrong[0]}; "
            f"it must be from 0 to {largest}"
        )
