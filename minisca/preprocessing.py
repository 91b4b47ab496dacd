"""What is done to images before anything learns from them (paper sections 3.2 and 3.3).

Contrast normalisation of each image by itself; ZCA whitening, which is fitted; cropping and halving
of NORB's views. Images are read a block at a time, whatever their number.
"""

import math
from functools import partial
from typing import Any, Self

import numpy as np

from minisca.backends import CHOICES, get_backend, name_of
from minisca.chunks import chunks
from minisca.communicators import on_images
from minisca.estimator import Estimator
from minisca.files.checkpoint import CheckpointError, Learned
from minisca.keeping import Filling, make_out
from minisca.resizing import crop_centre as crop_centre
from minisca.resizing import resize_bilinear as resize_bilinear
from minisca.training.arrivals import arriving, images_for
from minisca.types import Array, Images, PathLike
from minisca.validation import check_choice, check_number


def contrast_normalise(
    X: Images, epsilon: float = 1e-3, backend: str = "cpu", to: str = "host", out: Any = None
) -> Any:
    """Each image less its mean, divided by its contrast (arXiv 1409.2752v1, section 3.2).

    x <- (x - mean(x)) / (std(x) + epsilon), over all of an image's channels and pixels.

    Parameters
    ----------
    X : array (n, c, h, w) of any real dtype that slices along its first axis
    epsilon : float > 0, default 1e-3
        Keeps flat images finite: they become 0. The default is a quarter of a grey level of 256.
    backend : str, default "cpu"
        Where it is computed: "cpu", "cupy", "numba_cuda", or "auto". X may be an array there.
    to : "host" (default) or "device"
        Where the images are to be, as of `SparseConvAutoencoder.transform`.
    out : array of floats of X's shape, to be filled, or None (default)
        A memory map, say, where the images are larger than memory.

    Returns
    -------
    float32 array of X's shape, computed in float64; or `out`

    Raises
    ------
    ValueError or TypeError for other or non-finite images, and for another epsilon.
    """
    column = get_backend(backend)
    X = images_for(column, X)
    epsilon = check_number("epsilon", epsilon, low_open=True)
    made = make_out(column, X.shape, np.float32, out, to)
    with Filling(column, made) as filling:
        for rows, x in _blocks(column, X, _own_dtype(column, X)):
            filling.put(rows, _as_images(column.contrast_normalised(x, epsilon), X))
    return made if out is None else out  # a tensor, maybe, of which `made` is a view


class ZCA(Estimator):
    """Whitening that keeps images images (arXiv 1409.2752v1, sections 3.2 and 3.3).

    x <- U (S + epsilon)^(-1/2) U' (x - mean), where U S U' is the covariance of the images of
    `fit`. Directions of a variance far above epsilon get variance 1; those far below, noise, are
    not blown up.

    Parameters
    ----------
    epsilon : float > 0, default 0.1
        Added to every variance. The default suits contrast-normalised images.
    backend : str, default "cpu"
        Where covariance and images are multiplied: as of `contrast_normalise`. The eigenvectors
        are found on the CPU.

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

    def __init__(self, epsilon: float = 0.1, backend: str = "cpu") -> None:
        self.epsilon = epsilon
        self.backend = backend

    @np.errstate(under="ignore")  # a number that underflows is 0
    def fit(self, X: Images, y: object = None, communicator: Any = None) -> Self:
        """Measure the images' mean and covariance; returns self.

        Parameters
        ----------
        X : array (n, c, h, w) that slices along its first axis
            Read twice, in blocks; beside them, a few arrays of d x d float64 are all that is held.
        y : ignored
        communicator : an mpi4py communicator, one of `minisca.communicators`, or None
            Of ranks that each read some of the images.

        Raises
        ------
        ValueError or TypeError for other or non-finite images, and for another epsilon.
        """

        def check():
            self.check_parameters()
            return images_for(get_backend(self.backend), X)

        if communicator is None:
            images, backend = check(), get_backend(self.backend)
            moments = _moments if name_of(backend) == "cpu" else _moments_on
            mean, covariance = moments(backend, images)
            values, vectors = np.linalg.eigh(covariance)
        else:
            ranks, images = on_images.agreed_images(communicator, self, check)
            mean, covariance = on_images.moments(ranks, images, _slices(images))
            values, vectors = ranks.from_first(lambda: tuple(np.linalg.eigh(covariance)))
        values = np.maximum(values, 0)  # none is negative but by rounding
        roots = np.sqrt(values + float(self.epsilon))
        self._set_learned(
            mean_=mean.reshape(images.shape[1:]),
            eigenvalues_=values[::-1].copy(),
            whitening_=((vectors / roots) @ vectors.T).astype(np.float32),
            dewhitening_=((vectors * roots) @ vectors.T).astype(np.float32),
        )
        return self

    @np.errstate(under="ignore")  # a number that underflows is 0
    def transform(self, X: Images, out: Any = None, to: str = "host") -> Any:
        """Whiten images.

        Parameters
        ----------
        X : array (n, c, h, w), as in `fit`
        out : array of floats of X's shape, to be filled, or None (default)
        to : as of `contrast_normalise`

        Returns
        -------
        float32 array of X's shape, or `out`

        Raises
        ------
        NotFittedError before `fit`; ValueError or TypeError for images unlike those of it.
        """
        backend, X = self._check_new(X)
        made = make_out(backend, X.shape, np.float32, out, to)
        mean, product = self.mean_.ravel(), self._product(backend, self.whitening_)
        with Filling(backend, made) as filling:
            for rows, x in _blocks(backend, X, np.float64):
                less = backend.cast(backend.cast(x, np.float64, mean), np.float32)
                filling.put(rows, _as_images(product(less), X))
        return made if out is None else out

    def fit_transform(self, X: Images, y: object = None) -> Array:
        """`fit(X)`, then `transform(X)`."""
        return self.fit(X).transform(X)

    @np.errstate(under="ignore")  # a number that underflows is 0
    def inverse_transform(self, X: Images) -> Array:
        """The images, a float32 array (n, c, h, w), that `transform` made X of; raises as that."""
        backend, X = self._check_new(X)
        out, product = np.empty(X.shape, np.float32), self._product(backend, self.dewhitening_)
        for rows, x in _blocks(backend, X, np.float64):
            coloured = backend.to_host(product(backend.cast(x, np.float32)))
            out[rows] = _as_images(coloured, X) + self.mean_
        return out

    def _product(self, backend, matrix):
        """The function that multiplies rows where the backend computes by a matrix (d, d)."""
        if name_of(backend) == "cpu":
            return lambda rows: rows @ matrix
        zeros = backend.to_device(np.zeros(len(matrix), np.float32))
        weights = backend.to_device(np.ascontiguousarray(matrix.T))
        return lambda rows: backend.linear(rows, weights, zeros)

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
        """Raise ValueError or TypeError unless epsilon > 0 and there is such a backend."""
        check_number("epsilon", self.epsilon, low_open=True)
        check_choice("backend", self.backend, CHOICES)

    def _learned_arrays(self):
        return {
            "mean": Learned(("channels", "height", "width"), "float64"),
            "eigenvalues": Learned(("values",), "float64", least=0),
            "whitening": Learned(("values", "values"), "float32"),
            "dewhitening": Learned(("values", "values"), "float32"),
        }

    def _check_new(self, X):
        """The backend, and images X as it takes them."""
        self._check_as_fitted()
        channels, *size = self.mean_.shape
        backend = get_backend(self.backend)
        return backend, images_for(backend, X, channels=channels, size=size)


def _slices(X):
    """Slices of X's images, which are widened to float64 a slice at a time."""
    return chunks(X.shape[0], 8 * int(np.prod(X.shape[1:], dtype=np.int64)))


def _blocks(backend, X, dtype):
    """Yield (rows, values): images X[rows] where the backend computes, each a row of `dtype`."""
    parts = _slices(X)
    for rows, x in zip(parts, arriving(backend, X, parts, dtype), strict=True):
        yield rows, x.reshape((rows.stop - rows.start, math.prod(X.shape[1:])))


def _as_images(rows, X):
    return rows.reshape((rows.shape[0], *X.shape[1:]))


def _own_dtype(backend, X):
    """What images are normalised in: on the CPU float64, else what holds them."""
    narrow = name_of(backend) != "cpu" and X.dtype in (np.uint8, np.float16, np.float32)
    return np.float32 if narrow else np.float64


def _moments(backend, X):
    """The images' mean (d,) and covariance (d, d), float64."""
    mean = sum(x.sum(axis=0) for _, x in _blocks(backend, X, np.float64)) / X.shape[0]
    covariance = np.zeros((len(mean), len(mean)))
    product = np.empty_like(covariance)
    for _, x in _blocks(backend, X, np.float64):
        centred = x - mean
        covariance += np.matmul(centred.T, centred, out=product)
    return mean, covariance / X.shape[0]


def _moments_on(backend, X):
    """The same on a device: products of rows with ones, and with themselves."""

    def total(pairs):
        sums = None
        for rows, others in pairs:
            found, _ = backend.linear_backward(rows, others)
            if sums is None:
                sums = found
            else:
                backend.add_(sums, found)
        return backend.to_host(sums) / X.shape[0]

    blocks = partial(_blocks, backend, X, np.float64)
    mean = total((x, np.ones((x.shape[0], 1))) for _, x in blocks())[0]
    centred = (backend.cast(x, np.float64, mean) for _, x in blocks())
    return mean, total((x, x) for x in centred)
