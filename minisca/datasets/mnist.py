"""MNIST, and any data set in MNIST's four IDX files: find, fetch, check and load it.

MNIST is known by the SHA-256 of its unpacked files, wherever they lie and however they are packed.
"""

import hashlib
import warnings
from importlib import resources

import numpy as np

from minisca.datasets.dataset import Dataset, check_one_size
from minisca.datasets.errors import DatasetError, SampleWarning, within_memory
from minisca.datasets.idx import idx_header, read_idx
from minisca.datasets.locate import Source, check_checksum, find, name_after
from minisca.types import PathLike

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
SHA256 = {
    "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
#: Of Zalando Research's Fashion-MNIST: 70,000 images of clothes in MNIST's format.
FASHION_SHA256 = {
    "train_images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "test_images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
MAX_BYTES = 64 << 20  # the largest of the four has 47,040,016
SAMPLE_NAME = "MNIST sample of 5,000 digits"


def load_mnist(data_dir: PathLike | None = None, download: bool = True) -> Dataset:
    """Load MNIST, or another data set stored in four IDX files of the same names.

    The files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, plain or .gz (train-images.idx3-ubyte is understood too), are looked for

    1. in `data_dir` or its folder `mnist`, or in `MNIST/raw` or `raw`, where torchvision has them;
       if it is given, there and nowhere else;
    2. in the directory that the environment variable MINISCA_DATA names, or such a folder of it;
    3. in the cache, `minisca/mnist` under $XDG_CACHE_HOME or ~/.cache (Windows: %LOCALAPPDATA%),
       into which what is missing is downloaded;
    4. failing all these, a bundled sample of 5,000 of MNIST's digits is used instead, with a
       SampleWarning: nothing measured on it compares with a published figure.

    Files in the cache must have MNIST's checksums. Files elsewhere may be any images of one size
    with labels from 0 to 255.

    Parameters
    ----------
    data_dir : path or None (default)
    download : bool, default True
        Whether anything may be downloaded.

    Returns
    -------
    Dataset
        Images float32 (n, 1, height, width) in [0, 1], labels int64 (n,). Its `name` is "MNIST" or
        "Fashion-MNIST" only where all four checksums are theirs, else that of the directory.

    Raises
    ------
    DatasetNotFoundError if `data_dir` or $MINISCA_DATA is no directory or lacks files (the latter
    may lack all); DatasetError if a file is damaged or the four do not fit together.

    References
    ----------
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".
    """
    paths, cached, missing = find(SOURCE, data_dir, download)
    if missing:
        warnings.warn(
            "MNIST IS NOT HERE: USING A SMALL SAMPLE OF IT INSTEAD.\n"
            "These are 5,000 of its 70,000 digits (4,000 to train on, 1,000 to test on): NOTHING\n"
            "MEASURED ON THEM COMPARES WITH ANY PUBLISHED FIGURE. For the real data, put the four\n"
            "IDX files into a directory and give it as data_dir or in the environment variable\n"
            f"MINISCA_DATA. They are {missing}",
            SampleWarning,
            stacklevel=2,
        )
        return load_mnist_sample()
    return load_files(paths, only_mnist=cached)


def load_mnist_sample() -> Dataset:
    """Load the bundled 5,000 digits of MNIST's training set: 4,000 to train on, 1,000 to test on.

    A Dataset of the first 500 of each class, in turn 0, 1, ..., 9, 0, 1, ..., so that any run of
    them is balanced. Nothing measured on them compares with a published figure.
    """
    sample = resources.files("minisca.datasets") / "mnist_sample.npz"
    with sample.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {role: stored[role] for role in FILES}
    return _as_dataset(arrays, SAMPLE_NAME, "bundled with minisca")


def _fetch(cache):
    SOURCE.fetch_gzipped(cache, MIRRORS, SHA256, max_bytes=MAX_BYTES)


CANDIDATES = {
    role: [stem + end for stem in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
    for role, name in FILES.items()
}
CALLED = "the four IDX files (each may end in .gz)"
SOURCE = Source(("mnist", "MNIST/raw", "raw"), "mnist", FILES, CANDIDATES, CALLED, _fetch)


def load_files(paths, only_mnist=False):
    """The Dataset in four IDX files, {role: path}, known by its contents or named by its folder."""
    arrays = {role: read_idx(path) for role, path in paths.items()}
    found = {role: _sha256(array) for role, array in arrays.items()}
    if only_mnist:
        advice = " (another data set is loaded by its directory, data_dir)"
        for role, path in paths.items():
            kind = "contents of SHA-256"
            check_checksum(path, kind, found[role], "MNIST's have", SHA256[role], advice)
    _check_fit(arrays, paths)
    folder = paths["train_images"].parent.resolve()
    known = {"MNIST": SHA256, "Fashion-MNIST": FASHION_SHA256}
    named = [name for name, checksums in known.items() if found == checksums]
    name = named[0] if named else name_after(folder, *map(str.lower, known), "fashionmnist")
    with within_memory(f"the data set in {folder}"):
        return _as_dataset(arrays, name, str(folder))


def _sha256(array):
    """SHA-256 of the unpacked IDX file that holds `array`: the array determines its every byte."""
    digest = hashlib.sha256(idx_header(array.shape))
    digest.update(array)
    return digest.hexdigest()


def _check_fit(arrays, paths):
    """Refuse images that are no images, and sets that differ in count or in image size."""
    for half in ("train", "test"):
        images, labels = f"{half}_images", f"{half}_labels"
        if arrays[images].ndim == 1 and arrays[labels].ndim == 3:
            raise DatasetError(
                f"{paths[images]} holds labels and {paths[labels]} holds images; "
                "the two files are swapped"
            )
        for role, rank, what in (
            (images, 3, "images must be of rank 3, (n, height, width)"),
            (labels, 1, "labels must be of rank 1, (n,)"),
        ):
            if arrays[role].ndim != rank:
                raise DatasetError(f"{paths[role]} has shape {arrays[role].shape}; {what}")
        if len(arrays[images]) != len(arrays[labels]):
            raise DatasetError(
                f"{paths[images]} has {len(arrays[images])} images but {paths[labels]} has "
                f"{len(arrays[labels])} labels; there must be one label an image"
            )
    check_one_size(arrays, paths, "train_images", "test_images")


def _as_dataset(arrays, name, source):
    images = {
        role: np.divide(arrays[role][:, np.newaxis], 255, dtype=np.float32)
        for role in ("train_images", "test_images")
    }
    labels = {role: arrays[role].astype(np.int64) for role in ("train_labels", "test_labels")}
    return Dataset(**images, **labels, name=name, source=source)
