"""Data sets: loaders that check every byte that they are given."""

from minisca.datasets.cifar import load_cifar10
from minisca.datasets.dataset import Dataset
from minisca.datasets.errors import (
    DatasetError,
    DatasetNotFoundError,
    DownloadError,
    SampleWarning,
)
from minisca.datasets.idx import read_idx, write_idx
from minisca.datasets.mnist import load_mnist, load_mnist_sample

__all__ = [
    "Dataset",
    "DatasetError",
    "DatasetNotFoundError",
    "DownloadError",
    "SampleWarning",
    "load_cifar10",
    "load_mnist",
    "load_mnist_sample",
    "read_idx",
    "write_idx",
]
