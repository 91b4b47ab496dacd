"""What is done to images before anything learns from them (paper sections 3.2 and 3.3).

Contrast normalisation of each image by itself; ZCA whitening, which is fitted; cropping and halving
of NORB's views. Images are read a block at a time, whatever their number.
"""

from typing import Any, Self

import numpy as np

from minisca.chunks import chunks
from minisca.estimator import Estimator
from minisca.files.checkpoint import CheckpointError, Learned
from minisca.types import Array, Images, PathLike
from minisca.validation import (
    check_images,
    check_integer,
    check_number,
    check_out,
    check_room,
    read_batch,
)


def contrast_normalise(X: Images, epsilon: float = 1e-3) -> Array:
    """Each image less its mean, divided by its contrast (arXiv 1409.2752v1, section 3.2).

    x <- (x - mean(x)) / (std(x) + epsilon), over all of an image's channels and pixels.

    Parameters
    ----------
    X : array (n, c, h, w) of any real dtype that slices along its first axis
    epsilon : float > 0, default 1e-3
        Keeps flat images finite: they become 0. The default is a quarter of a grey level of 256.

    Returns
    -------
    float32 array of X's shape, computed in float64

    Raises
    ------
    ValueError or TypeError for other or non-finite images, and for another epsilon.
    """
    X = check_images(X)
    epsilon = check_number("epsilon", epsilon, low_open=True)
    out = np.empty(X.shape, np.float32)
    for rows, x in _blocks(X):
        x -= x.mean(axis=1, keepdims=True)
        x /= x.std(axis=1, keepdims=True) + epsilon
        out[rows] = x.reshape(-1, *X.shape[1:])
    return out


class ZCA(Estimator):
    """Whitening that keeps images images (arXiv 1409.2752v1, sections 3.2 and 3.3).

    x <- U (S + epsilon)^(-1/2) U' (x - mean), where U S U' is the covariance of the images of
    `fit`. Directions of a variance far above epsilon get variance 1; those far below, noise, are
    not blown up.

    Parameters
    ----------
    epsilon : float > 0, default 0.1
        Added to every variance. The default suits contrast-normalised images.

    Attributes
    ----------
    mean_ : float64 array (c, h, w)
    eigenvalues_ : float64 array (d,)
        S, the largest first; d = c * h * w.
    whitening_, dewhitening_ : float32 arrays (d, d)
        U (S + epsilon)^(-1/2) U' and its inverse.

    Examples
    --------
    >>> whitener = ZCA().fit(contrast_normalise(data.train_images))
    >>> whitened = whitener.transform(contrast_normalise(data.test_images))
    """

    _estimator_type = "transformer"
    _main = "whitening"
    mean_: Array
    eigenvalues_: Array
    whitening_: Array
    dewhitening_: Array

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    @np.errstate(under="ignore")  # a number that underflows is 0
    def fit(self, X: Images, y: object = None) -> Self:
        """Measure the images' mean and covariance; returns self.

        Parameters
        ----------
        X : array (n, c, h, w) that slices along its first axis
            Read twice, in blocks; beside them, a few arrays of d x d float64 are all that is held.
        y : ignored

        Raises
        ------
        ValueError or TypeError for other or non-finite images, and for another epsilon.
        """
        X = check_images(X)
        epsilon = check_number("epsilon", self.epsilon, low_open=True)
        mean = sum(x.sum(axis=0) for _, x in _blocks(X)) / X.shape[0]
        covariance = np.zeros((len(mean), len(mean)))
        product = np.empty_like(covariance)
        for _, x in _blocks(X):
            x -= mean
            covariance += np.matmul(x.T, x, out=product)
        values, vectors = np.linalg.eigh(covariance / X.shape[0])
        values = np.maximum(values, 0)  # none is negative but by rounding
        roots = np.sqrt(values + epsilon)
        self._set_learned(
            mean_=mean.reshape(X.shape[1:]),
            eigenvalues_=values[::-1].copy(),
            whitening_=((vectors / roots) @ vectors.T).astype(np.float32),
            dewhitening_=((vectors * roots) @ vectors.T).astype(np.float32),
        )
        return self

    @np.errstate(under="ignore")  # a number that underflows is 0
    def transform(self, X: Images, out: Any = None) -> Any:
        """Whiten images.

        Parameters
        ----------
        X : array (n, c, h, w), as in `fit`
        out : array of floats of X's shape, to be filled, or None (default)

        Returns
        -------
        float32 array of X's shape, or `out`

        Raises
        ------
        NotFittedError before `fit`; ValueError or TypeError for images unlike those of it.
        """
        X = self._check_new(X)
        out = np.empty(X.shape, np.float32) if out is None else check_out(out, X.shape)
        for rows, x in _blocks(X):
            x -= self.mean_.ravel()
            out[rows] = (x.astype(np.float32) @ self.whitening_).reshape(-1, *X.shape[1:])
        return out

    def fit_transform(self, X: Images, y: object = None) -> Array:
        """`fit(X)`, then `transform(X)`."""
        return self.fit(X).transform(X)

    @np.errstate(under="ignore")  # a number that underflows is 0
    def inverse_transform(self, X: Images) -> Array:
        """The images, a float32 array (n, c, h, w), that `transform` made X of; raises as that."""
        X = self._check_new(X)
        out = np.empty(X.shape, np.float32)
        for rows, x in _blocks(X):
            coloured = x.astype(np.float32) @ self.dewhitening_
            out[rows] = coloured.reshape(-1, *X.shape[1:]) + self.mean_
        return out

    @classmethod
    def from_file(cls, path: PathLike, arrays: dict[str, Array], settings: dict[str, Any]) -> Self:
        """The whitener that `to_file` described; `path` is named in messages."""
        zca = super().from_file(path, arrays, settings)
        if zca.mean_.size != zca.eigenvalues_.size:
            raise CheckpointError(
                f"{path} has an array 'mean' of {zca.mean_.size} values; the array 'eigenvalues' "
                f"has {zca.eigenvalues_.size}, and must have as many"
            )
        return zca

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError unless epsilon > 0."""
        check_number("epsilon", self.epsilon, low_open=True)

    def _learned_arrays(self):
        return {
            "mean": Learned(("channels", "height", "width"), "float64"),
            "eigenvalues": Learned(("values",), "float64", least=0),
            "whitening": Learned(("values", "values"), "float32"),
            "dewhitening": Learned(("values", "values"), "float32"),
        }

    def _check_new(self, X):
        self._check_as_fitted()
        channels, *size = self.mean_.shape
        return check_images(X, channels=channels, size=size)


def crop_centre(X: Images, side: int) -> Array:
    """The inner pixels of images (n, c, h, w): a view (n, c, side, side).

    Of an odd number of rows or columns that go, the lower or right edge loses one more. Raises
    ValueError or TypeError for other images, and if they are smaller than `side`.
    """
    X = check_images(X)
    side = check_integer("side", side)
    height, width = X.shape[2:]
    if side > min(height, width):
        raise ValueError(f"side is {side}; X has images of {height}x{width} pixels, it must fit")
    top, left = (height - side) // 2, (width - side) // 2
    return X[:, :, top : top + side, left : left + side]


def resize_bilinear(X: Images, side: int) -> Array:
    """Resample images bilinearly.

    Parameters
    ----------
    X : array (n, c, h, w) of any real dtype that slices along its first axis
    side : int >= 1

    Returns
    -------
    float32 array (n, c, side, side)

    Raises
    ------
    ValueError or TypeError for other or non-finite images.

    Notes
    -----
    The centre of output row i lies at (i + 1/2) h / side - 1/2 in rows of X, where the two nearest
    are mixed (`align_corners=False` of other libraries). At half the size this is exactly the mean
    of each 2 x 2 pixels; at less, pixels are skipped.
    """
    X = check_images(X)
    side = check_integer("side", side)
    check_room("side", (*X.shape[:2], side, side))
    above, below, down = _between(X.shape[2], side)
    left, right, along = _between(X.shape[3], side)
    down = down[:, None]
    out = np.empty((*X.shape[:2], side, side), np.float32)
    for rows in _slices(X):
        x = read_batch(X, rows, np.float32)
        x = x[:, :, above] * (1 - down) + x[:, :, below] * down
        out[rows] = x[..., left] * (1 - along) + x[..., right] * along
    return out


def _between(size, side):
    """For each of `side` places: the two of `size` pixels that it lies between, and how far."""
    places = np.clip((np.arange(side) + 0.5) * (size / side) - 0.5, 0, size - 1)
    first = np.floor(places).astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (places - first).astype(np.float32)


def _slices(X):
    """Slices of X's images, which are widened to float64 a slice at a time."""
    return chunks(X.shape[0], 8 * int(np.prod(X.shape[1:], dtype=np.int64)))


def _blocks(X):
    """Yield (rows, values): images X[rows], each a row of float64; a block is the caller's own."""
    for rows in _slices(X):
        x = read_batch(X, rows, np.float64)
        yield rows, np.array(x).reshape(len(x), -1)
