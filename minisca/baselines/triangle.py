"""TriangleKMeans: features from k-means on patches in isolation (the paper's Figure 1c).

Adam Coates, Honglak Lee and Andrew Y. Ng, "An Analysis of Single-Layer Networks in Unsupervised
Feature Learning", AISTATS 2011. Random patches, each contrast-normalised, all whitened, clustered;
then every patch of an image, on a dense grid, is described by how much nearer than on average it
lies to each centre, and these are pooled over the regions of a coarse grid and standardised.
"""

import copy
from typing import ClassVar

import numpy as np

from minisca.backends import CHOICES
from minisca.baselines.baseline import Baseline, of_images
from minisca.baselines.clustering import kmeans
from minisca.chunks import chunks, spread
from minisca.files.checkpoint import Learned
from minisca.patches import check_patch_width, dense_patches, draw_patches
from minisca.preprocessing import ZCA, contrast_normalise
from minisca.progress import progress
from minisca.validation import (
    check_choice,
    check_flag,
    check_images,
    check_integer,
    check_number,
    check_out,
    check_seed,
    check_verbose,
    read_batch,
)

#: Images that features are standardised by, at most; added to their variance.
STANDARDISING_IMAGES = 5000
FEATURE_EPSILON = 0.01
#: Of what features are divided by: no less, and not 0.
SMALLEST = float(np.finfo(np.float32).tiny)


class TriangleKMeans(Baseline):
    """Triangle activations max(0, mean(z) - z), z the distances of a patch to all centres.

    Parameters
    ----------
    n_maps : int, default 400
        Centres m.
    patch_width : int, default 6
        Side k of the square patches; they lie wholly inside the images.
    stride : int, default 1
        Of the grid of patches in `transform`.
    grid : int, default 2
        Summed over grid x grid regions of the patches' places: 2 are quadrants. Where their number
        does not divide evenly, the regions' sides differ by one place.
    normalise : bool, default True
        `contrast_normalise` every patch by itself.
    contrast_epsilon : float > 0, default 0.01
        Its epsilon. For pixels in [0, 1]; it keeps the noise of flat patches small.
    whiten : bool, default True
        `ZCA` of the patches, learned in `fit`.
    zca_epsilon : float > 0, default 0.1
        Its epsilon, which suits normalised patches.
    standardise : bool, default True
        Give every pooled feature the mean 0 and nearly the standard deviation 1 over the images of
        `fit` (at most 5,000 of them), as Coates et al. do: triangle activations have large means.
    n_patches : int, default 100,000
        Patches to learn from, at most; drawn at random, no place twice.
    n_iterations : int, default 30
    random_state : int or None, default None
    verbose : bool, default True
    backend : str, default "cpu"
        Where `fit` prepares and clusters patches: as of `kmeans`. `transform` is on the CPU.

    Attributes
    ----------
    centres_ : float32 array (m, c, k, k)
        Of normalised and whitened patches.
    mean_, whitening_ : float32 arrays (c, k, k) and (c * k * k, c * k * k)
        A normalised patch p becomes whitening_ @ (p - mean_); 0 and the identity without `whiten`.
    feature_mean_, feature_scale_ : float32 arrays (m, grid, grid)
        What `standardise` subtracts and divides by; 0 and 1 without it.
    objective_history_ : float64 array (iterations,)
        What k-means brings down, of the centres that each iteration began with.
    n_channels_, image_size_ : int and (int, int)
        Channels, and height and width, of the images seen in `fit`.

    Examples
    --------
    >>> features = TriangleKMeans(n_maps=400, random_state=0).fit(images).transform(images)
    """

    _estimator_type = "transformer"
    _main = "centres"
    _deleted_settings: ClassVar = {
        "pooling": lambda v: v == "mean",
        "algorithm": lambda v: v == "spherical",
    }

    def __init__(
        self,
        n_maps=400,
        patch_width=6,
        stride=1,
        grid=2,
        normalise=True,
        contrast_epsilon=0.01,
        whiten=True,
        zca_epsilon=0.1,
        standardise=True,
        n_patches=100_000,
        n_iterations=30,
        random_state=None,
        verbose=True,
        backend="cpu",
    ):
        self._store(locals())

    def fit(self, X, y=None):
        """Learn centres from patches of images X (n, c, h, w); y is ignored. Returns self.

        X may be any array that slices along its first axis. Raises ValueError or TypeError for bad
        images or parameters, fewer patches than centres, patches or a grid that do not fit.
        """
        self.check_parameters()
        X = check_images(X)
        n_places = X.shape[0] * self._check_fits(X.shape[2:])
        available = min(self.n_patches, n_places)
        if available < self.n_maps:
            why = f"{available} (n_patches = {self.n_patches}, places in X: {n_places})"
            must = f"it must be at most the number of patches, which is {why}"
            raise ValueError(f"n_maps is {self.n_maps}; {must}")
        made = copy.copy(self)
        made._fit(X)
        self._set_learned(**vars(made))
        return self

    def _fit(self, X):
        """`fit`, where all is checked but the pixels; what stops it leaves half of it."""
        random = np.random.default_rng(self.random_state)
        patches = draw_patches(X, self.n_patches, self.patch_width, random)
        self._set_learned(**of_images(X))
        if self.normalise:
            patches = contrast_normalise(patches, self.contrast_epsilon, self.backend)
        self.mean_ = np.zeros(patches.shape[1:], np.float32)
        self.whitening_ = np.eye(self.mean_.size, dtype=np.float32)
        if self.whiten:
            zca = ZCA(self.zca_epsilon, self.backend).fit(patches)
            self.mean_, self.whitening_ = zca.mean_.astype(np.float32), zca.whitening_
        bar = progress(self.verbose, total=self.n_iterations, unit=" iterations", desc="k-means")
        with bar:

            def tick(objective):
                bar.set_postfix(objective=f"{objective:.4g}", refresh=False)
                bar.update()

            points = self._whitened(patches)
            how = self.n_maps, self.n_iterations, random, tick, self.backend
            centres, objectives = kmeans(points, *how)
        self.centres_ = centres.reshape(-1, *patches.shape[1:])
        self.objective_history_ = np.array(objectives)
        self._measure_features(X)

    def transform(self, X, out=None):
        """Pooled activations of images X (n, c, h, w): (n, m, grid, grid).

        Returns float32, or `out`, an array of that shape (float16 or a memory map, say) that is
        filled instead. A block of patches is held at a time, whatever the images' size. Raises
        NotFittedError before `fit`, ValueError or TypeError for images unlike those of `fit`.
        """
        X = self._check_new(X)
        shape = (X.shape[0], *self.feature_mean_.shape)
        made = np.empty(shape, np.float32) if out is None else check_out(out, shape)
        with progress(
            self.verbose, total=shape[0], unit=" images", desc="encoding", delay=2
        ) as bar:
            for rows in self._image_blocks(shape[0]):
                pooled = self._pooled(read_batch(X, rows, np.float32))
                made[rows] = (pooled - self.feature_mean_) / self.feature_scale_
                bar.update(len(pooled))
        return made if out is None else out

    def feature_maps(self, X):
        """Activations of every place before pooling: (n, m, rows, columns). Large."""
        x = read_batch(self._check_new(X), slice(None), np.float32)
        return np.moveaxis(self._activations(x), 3, 1)

    def _measure_features(self, X):
        """Set `feature_mean_` and `feature_scale_` over images spread over X."""
        shape = (self.n_maps, self.grid, self.grid)
        self.feature_mean_ = np.zeros(shape, np.float32)
        self.feature_scale_ = np.ones(shape, np.float32)
        if not self.standardise:
            return
        rows = spread(X.shape[0], STANDARDISING_IMAGES)
        total, squares = np.zeros((2, *shape))
        for part in self._image_blocks(len(rows)):
            pooled = self._pooled(read_batch(X, rows[part], np.float32)).astype(np.float64)
            total += pooled.sum(axis=0)
            squares += np.square(pooled).sum(axis=0)
        mean = total / len(rows)
        variance = np.maximum(squares / len(rows) - np.square(mean), 0)
        self.feature_mean_[...] = mean
        self.feature_scale_[...] = np.sqrt(variance + FEATURE_EPSILON)

    def _pooled(self, x):
        """Pooled activations of images x (n, c, h, w): (n, m, grid, grid)."""
        rows, columns = self._places()
        pool, pooled = self._pooling_matrix(rows, columns), 0
        for part in chunks(rows, self._bytes_per_place() * columns):
            weights = np.ascontiguousarray(pool[:, part]).reshape(len(pool), -1)
            pooled += weights @ self._activations(x, part).reshape(len(x), weights.shape[1], -1)
        return pooled.transpose(0, 2, 1).reshape(len(x), self.n_maps, self.grid, self.grid)

    def _activations(self, x, lines=slice(None)):
        """Activations of some lines of places: (n, lines, columns, m)."""
        windows = dense_patches(x, self.patch_width, self.stride)[:, lines]
        patches = windows.reshape(-1, *self.mean_.shape)  # a copy
        if self.normalise:
            patches = contrast_normalise(patches, self.contrast_epsilon)
        activations = triangle(self._whitened(patches), self.centres_.reshape(self.n_maps, -1))
        return activations.reshape(*windows.shape[:3], -1)

    def _image_blocks(self, n):
        """Slices of n images whose patches fit into the working memory, one image at least."""
        rows, columns = self._places()
        return chunks(n, self._bytes_per_place() * rows * columns)

    def _places(self):
        """Rows and columns of the grid of patches."""
        return [len(range(0, s - self.patch_width + 1, self.stride)) for s in self.image_size_]

    def _bytes_per_place(self):
        return 4 * (self.n_maps + 3 * self.mean_.size)

    def _pooling_matrix(self, rows, columns):
        """1 for every place in its region, else 0: (grid * grid, rows, columns) float32."""
        pool = np.zeros((self.grid, self.grid, rows, columns), np.float32)
        edges = [[side * i // self.grid for i in range(self.grid + 1)] for side in (rows, columns)]
        for i, j in np.ndindex(self.grid, self.grid):
            pool[i, j, edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]] = 1
        return pool.reshape(-1, rows, columns)

    def _whitened(self, patches):
        """Normalised patches (n, c, k, k), whitened, as rows (n, c * k * k)."""
        return (patches - self.mean_).reshape(len(patches), -1) @ self.whitening_

    def _check_fits(self, size):
        """The number of patches in an image of `size`, or an exception where they do not fit."""
        width = check_patch_width("patch_width", self.patch_width, size)
        sides = [len(range(0, side - width + 1, self.stride)) for side in size]
        if self.grid > min(sides):
            places = f"{sides[0]}x{sides[1]} places of patches"
            raise ValueError(f"grid is {self.grid}; for {places} it must be at most {min(sides)}")
        return (size[0] - width + 1) * (size[1] - width + 1)

    def _learned_arrays(self):
        patch = (self.n_channels_, self.patch_width, self.patch_width)
        dimensions = self.n_channels_ * self.patch_width**2
        features = (self.n_maps, self.grid, self.grid)
        return {
            "centres": Learned((self.n_maps, *patch), "float32"),
            "mean": Learned(patch, "float32"),
            "whitening": Learned((dimensions, dimensions), "float32"),
            "feature_mean": Learned(features, "float32"),
            "feature_scale": Learned(features, "float32", least=SMALLEST),
            "objective_history": Learned((None,), "float64"),
        }

    @classmethod
    def from_file(cls, path, arrays, settings):
        """As `Estimator.from_file`."""
        estimator = super().from_file(path, arrays, settings)
        if settings["parameters"].get("pooling") == "mean":  # of an old file: sums, divided later
            sizes = estimator._pooling_matrix(*estimator._places()).sum(axis=(1, 2))
            for array in (estimator.feature_mean_, estimator.feature_scale_):
                array *= sizes.reshape(array.shape[1:])
        return estimator

    def check_parameters(self):
        """Raise ValueError or TypeError, naming it, for a bad constructor argument."""
        check_seed(self.random_state)
        for name in ("n_maps", "patch_width", "stride", "grid", "n_patches", "n_iterations"):
            check_integer(name, getattr(self, name))
        for name in ("normalise", "whiten", "standardise"):
            check_flag(name, getattr(self, name))
        for name in ("contrast_epsilon", "zca_epsilon"):
            check_number(name, getattr(self, name), low_open=True)
        check_verbose(self.verbose)
        check_choice("backend", self.backend, CHOICES)


def triangle(points, centres):
    """max(0, mean(z) - z) of points (n, d), z their distances to centres (m, d): (n, m)."""
    distances = points @ centres.T
    distances *= -2
    distances += np.einsum("nd,nd->n", points, points)[:, None]
    distances += np.einsum("md,md->m", centres, centres)
    np.sqrt(np.maximum(distances, 0, out=distances), out=distances)  # rounding can leave -0.0001
    np.subtract(distances.mean(axis=1, keepdims=True), distances, out=distances)
    return np.maximum(distances, 0, out=distances)
