"""Data sets: loaders that check every byte that they are given; and a layer trained on one."""

from minisca.datasets.cifar import load_cifar10
from minisca.datasets.dataset import Dataset
from minisca.datasets.errors import (
    DatasetError,
    DatasetNotFoundError,
    DownloadError,
    SampleWarning,
)
from minisca.datasets.fashion_mnist import load_fashion_mnist
from minisca.datasets.idx import read_idx, write_idx
from minisca.datasets.mnist import load_mnist, load_mnist_sample
from minisca.datasets.norb import StereoDataset, load_norb
from minisca.datasets.norb_matrix import read_norb_matrix, write_norb_matrix
from minisca.datasets.trained import load_trained

__all__ = [
    "Dataset",
    "DatasetError",
    "DatasetNotFoundError",
    "DownloadError",
    "SampleWarning",
    "StereoDataset",
    "load_cifar10",
    "load_fashion_mnist",
    "load_mnist",
    "load_mnist_sample",
    "load_norb",
    "load_trained",
    "read_idx",
    "read_norb_matrix",
    "write_idx",
    "write_norb_matrix",
]
