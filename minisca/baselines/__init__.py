"""The methods that the paper compares itself with, each usable by itself (its Figure 1).

TriangleKMeans learns from patches in isolation, KSparseAutoencoder too; SupervisedConvNet learns
the same architecture from labels.
"""

from minisca.baselines.clustering import kmeans
from minisca.baselines.convnet import SupervisedConvNet
from minisca.baselines.ksparse import KSparseAutoencoder
from minisca.baselines.triangle import TriangleKMeans
from minisca.patches import dense_patches, draw_patches

__all__ = [
    "KSparseAutoencoder",
    "SupervisedConvNet",
    "TriangleKMeans",
    "dense_patches",
    "draw_patches",
    "kmeans",
]
