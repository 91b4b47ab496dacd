"""Labelled images, split into a training and a test set, and where they came from."""

from dataclasses import dataclass, field

import numpy as np

from minisca.datasets.errors import DatasetError
from minisca.validation import check_integer


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in two sets.

    Attributes
    ----------
    train_images, test_images : float32 arrays (n, channels, height, width) in [0, 1]
    train_labels, test_labels : int64 arrays (n,)
    name : what the data are, to be written beside every figure measured on them
    source : the directory that they were read from, or a description
    """

    train_images: np.ndarray = field(repr=False)
    train_labels: np.ndarray = field(repr=False)
    test_images: np.ndarray = field(repr=False)
    test_labels: np.ndarray = field(repr=False)
    name: str
    source: str

    def validation_split(
        self, n: int | None = None
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Split the training set in two, so that settings are chosen without the test set.

        Parameters
        ----------
        n : int or None (default)
            How many of the last training images are held out: by default 10,000, or a fifth of them
            where that is less.

        Returns
        -------
        (images, labels), (images, labels) : to train on and to validate on
            Views of the training set, no copies.

        Raises
        ------
        TypeError or ValueError unless 1 <= n < training images.
        """
        n_train = len(self.train_images)
        n = min(10_000, n_train // 5) if n is None else check_integer("n", n)
        if not 1 <= n < n_train:
            raise ValueError(
                f"n is {n}; of {n_train} training images it must be 1 to {n_train - 1}"
            )
        return (
            (self.train_images[:-n], self.train_labels[:-n]),
            (self.train_images[-n:], self.train_labels[-n:]),
        )


def check_one_size(arrays, paths, train, test):
    """Refuse test images, arrays[test] (..., height, width), of another size than arrays[train].

    paths: {role: path} of the files that they were read from, for the message of the DatasetError.
    """
    (height, width), found = arrays[train].shape[-2:], arrays[test].shape[-2:]
    if found != (height, width):
        raise DatasetError(
            f"{paths[test]} has images of {found[0]}x{found[1]} pixels; they must be "
            f"{height}x{width}, as in {paths[train]}"
        )
