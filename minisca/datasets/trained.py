"""Layers that come with the package, so that a first look takes no training."""

from importlib import resources

from minisca.autoencoder import SparseConvAutoencoder
from minisca.validation import check_choice

#: Each is a file that `SparseConvAutoencoder.save` wrote, beside its record, trained.md.
TRAINED = ("mnist-16",)


def load_trained(name: str = "mnist-16") -> SparseConvAutoencoder:
    """Load a layer that comes with minisca.

    Parameters
    ----------
    name : "mnist-16" (default)
        16 maps of 7 x 7, from MNIST's 60,000 training images (1, 28, 28): seed 0 of the first row
        of the paper's Table 1. How it was made, and what it reaches: minisca/datasets/trained.md.

    Returns
    -------
    A fitted SparseConvAutoencoder, with its losses and all that training it on takes

    Raises
    ------
    ValueError for another name.

    Examples
    --------
    >>> digits = load_mnist_sample().test_images
    >>> values, positions = load_trained().winners(digits)
    """
    check_choice("name", name, TRAINED)
    with resources.as_file(resources.files("minisca.datasets") / f"{name}.npz") as path:
        return SparseConvAutoencoder.load(path)
