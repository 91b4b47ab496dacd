"""TriangleKMeans: features from k-means on patches in isolation (the paper's Figure 1c).

Adam Coates, Honglak Lee and Andrew Y. Ng, "An Analysis of Single-Layer Networks in Unsupervised
Feature Learning", AISTATS 2011. Random patches, each contrast-normalised, all whitened, clustered;
then every patch of an image, on a dense grid, is described by how much nearer than on average it
lies to each centre, and these are pooled over the regions of a coarse grid.
"""

import numpy as np

from minisca.baselines.baseline import Baseline, blocks
from minisca.baselines.clustering import ALGORITHMS, kmeans
from minisca.baselines.patches import check_patch_width, dense_patches, draw_patches
from minisca.validation import (
    check_choice,
    check_flag,
    check_images,
    check_integer,
    check_number,
    check_out,
    read_batch,
)

#: Working memory of `transform`: a block of patches and their distances to all centres.
BLOCK_BYTES = 32 << 20


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
        Pooled over grid x grid regions of the patches' places: 2 are quadrants. Where their number
        does not divide evenly, the regions' sides differ by one place.
    pooling : "sum" (default) or "mean"
        Of the activations of a region.
    normalise : bool, default True
        Subtract from every patch its mean, divide by the root of its variance + contrast_epsilon.
    contrast_epsilon : float > 0, default 10 / 255^2
        For pixels in [0, 1]; it is what keeps flat patches from being noise.
    whiten : bool, default True
        ZCA of the patches, learned in `fit`.
    zca_epsilon : float > 0, default 0.1
        Added to the variances that whitening divides by. Less of it suits images of less contrast
        than normalised ones have.
    algorithm : "lloyd" (default) or "spherical"
        See `kmeans`.
    n_patches : int, default 100,000
        Patches to learn from, at most; drawn at random, no place twice.
    n_iterations : int, default 30
    random_state : int or None
    dtype : "float32" (default) or "float64"
    verbose : bool, default True

    Attributes
    ----------
    centres_ : array (m, c, k, k), of normalised and whitened patches
    mean_ : array (c, k, k);  whitening_ : array (c * k * k, c * k * k), symmetric
        A normalised patch p is whitened to whitening_ @ (p - mean_); 0 and the identity where
        `whiten` is False.
    objective_history_ : array float64
        What k-means brings down, of the centres that each iteration began with.
    n_channels_, image_size_ : int, and (height, width) of the images seen in `fit`

    >>> features = TriangleKMeans(n_maps=400, random_state=0).fit(images).transform(images)
    """

    _estimator_type = "transformer"
    _main = "centres"

    def __init__(
        self,
        n_maps=400,
        patch_width=6,
        stride=1,
        grid=2,
        pooling="sum",
        normalise=True,
        contrast_epsilon=10 / 255**2,
        whiten=True,
        zca_epsilon=0.1,
        algorithm="lloyd",
        n_patches=100_000,
        n_iterations=30,
        random_state=None,
        dtype="float32",
        verbose=True,
    ):
        self.n_maps = n_maps
        self.patch_width = patch_width
        self.stride = stride
        self.grid = grid
        self.pooling = pooling
        self.normalise = normalise
        self.contrast_epsilon = contrast_epsilon
        self.whiten = whiten
        self.zca_epsilon = zca_epsilon
        self.algorithm = algorithm
        self.n_patches = n_patches
        self.n_iterations = n_iterations
        self.random_state = random_state
        self.dtype = dtype
        self.verbose = verbose

    def fit(self, X, y=None):
        """Learn centres from patches of images X (n, c, h, w); y is ignored. Returns self.

        X may be any array that slices along its first axis. Raises ValueError or TypeError for bad
        images or parameters, patches larger than the images, fewer patches than centres, a grid
        finer than the patches' places.
        """
        self._check_parameters()
        X = check_images(X)
        n_places = X.shape[0] * self._check_fits(X.shape[2:])
        if min(self.n_patches, n_places) < self.n_maps:
            raise ValueError(
                f"n_maps is {self.n_maps}; it must be at most the number of patches, which is "
                f"{min(self.n_patches, n_places)} (n_patches = {self.n_patches}, places in X: "
                f"{n_places})"
            )
        random = np.random.default_rng(self.random_state)
        patches = draw_patches(X, self.n_patches, self.patch_width, random, self.dtype)
        points = self._normalised(patches.reshape(len(patches), -1))
        mean, whitening = self._learn_whitening(points)
        with self._bar(total=self.n_iterations, unit="iteration", desc="k-means") as bar:

            def tick(objective):
                bar.set_postfix(objective=f"{objective:.4g}", refresh=False)
                bar.update()

            centres, objectives = kmeans(
                (points - mean) @ whitening,
                self.n_maps,
                self.algorithm,
                self.n_iterations,
                random,
                tick,
            )
        self._remember_images(X)
        self.mean_ = mean.reshape(patches.shape[1:])
        self.whitening_ = whitening
        self.centres_ = centres.reshape(-1, *patches.shape[1:])
        self.objective_history_ = np.array(objectives)
        return self

    def transform(self, X, out=None):
        """Pooled activations of images X (n, c, h, w): (n, m, grid, grid).

        Returns an array of the estimator's dtype, or `out`, an array of that shape (float16 or a
        memory map, say) that is filled instead. A block of patches is held at a time, whatever the
        images' size. Raises NotFittedError before `fit`, ValueError or TypeError for images unlike
        those of `fit`.
        """
        X = self._check_new(X)
        shape = (X.shape[0], len(self.centres_), self.grid, self.grid)
        out = np.empty(shape, self.centres_.dtype) if out is None else check_out(out, shape)
        places = [len(range(0, s - self.patch_width + 1, self.stride)) for s in self.image_size_]
        pool = self._pooling_matrix(*places)
        per_place = (len(self.centres_) + 3 * self.mean_.size) * self.centres_.itemsize
        lines = blocks(places[0], per_place * places[1], BLOCK_BYTES)  # a block's lines of places
        with self._bar(total=X.shape[0], unit="image", desc="encoding", delay=2) as bar:
            for rows in blocks(X.shape[0], per_place * places[0] * places[1], BLOCK_BYTES):
                x = read_batch(X, rows, self.centres_.dtype)
                pooled = sum(self._pool_lines(x, part, pool) for part in lines)
                out[rows] = pooled.transpose(0, 2, 1).reshape(out[rows].shape)
                bar.update(len(x))
        return out

    def fit_transform(self, X, y=None):
        """`fit(X)`, then `transform(X)`."""
        return self.fit(X).transform(X)

    def _pool_lines(self, x, lines, pool):
        """What some lines of places contribute to the pooled features: (n, regions, m)."""
        windows = dense_patches(x, self.patch_width, self.stride)[:, lines]
        patches = windows.reshape(-1, self.mean_.size)  # a copy
        points = (self._normalised(patches) - self.mean_.reshape(-1)) @ self.whitening_
        activations = triangle(points, self.centres_.reshape(len(self.centres_), -1))
        part = np.ascontiguousarray(pool[:, lines]).reshape(len(pool), -1)
        return part @ activations.reshape(len(x), part.shape[1], -1)

    def _pooling_matrix(self, rows, columns):
        """Weight of every place in every region: (grid * grid, rows, columns)."""
        pool = np.zeros((self.grid, self.grid, rows, columns), self.centres_.dtype)
        edges = [[side * i // self.grid for i in range(self.grid + 1)] for side in (rows, columns)]
        for i, j in np.ndindex(self.grid, self.grid):
            region = pool[i, j, edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]]
            region[...] = 1 / region.size if self.pooling == "mean" else 1
        return pool.reshape(-1, rows, columns)

    def _normalised(self, points):
        """Rows of pixels, contrast-normalised each by itself (if `normalise`)."""
        if not self.normalise:
            return points
        points = points - points.mean(axis=1, keepdims=True)
        variance = np.mean(np.square(points), axis=1, keepdims=True)
        return points / np.sqrt(variance + points.dtype.type(self.contrast_epsilon))

    def _learn_whitening(self, points):
        """Mean (d,) and symmetric whitening matrix (d, d) of points (n, d)."""
        dimensions = points.shape[1]
        if not self.whiten:
            return np.zeros(dimensions, self.dtype), np.eye(dimensions, dtype=self.dtype)
        mean = points.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((dimensions, dimensions))
        for rows in blocks(len(points), 8 * dimensions, BLOCK_BYTES):
            centred = points[rows] - mean
            covariance += centred.T @ centred
        variances, axes = np.linalg.eigh(covariance / len(points))
        scales = 1 / np.sqrt(np.maximum(variances, 0) + self.zca_epsilon)
        return mean.astype(self.dtype), ((axes * scales) @ axes.T).astype(self.dtype)

    def _check_fits(self, size):
        """The number of patches in an image of `size`, or an exception where they do not fit."""
        width = check_patch_width("patch_width", self.patch_width, size)
        sides = [len(range(0, side - width + 1, self.stride)) for side in size]
        if self.grid > min(sides):
            raise ValueError(
                f"grid is {self.grid}; for {sides[0]}x{sides[1]} places of patches it must be at "
                f"most {min(sides)}"
            )
        return (size[0] - width + 1) * (size[1] - width + 1)

    def _learned_shapes(self):
        patch = (self.n_channels_, self.patch_width, self.patch_width)
        dimensions = self.n_channels_ * self.patch_width**2
        return {
            "centres": (self.n_maps, *patch),
            "mean": patch,
            "whitening": (dimensions, dimensions),
            "objective_history": (None,),
        }

    def _check_parameters(self):
        self._check_shared_parameters()
        for name in ("n_maps", "patch_width", "stride", "grid", "n_patches", "n_iterations"):
            check_integer(name, getattr(self, name))
        check_choice("pooling", self.pooling, ("sum", "mean"))
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        check_flag("normalise", self.normalise)
        check_flag("whiten", self.whiten)
        check_number("contrast_epsilon", self.contrast_epsilon, low_open=True)
        check_number("zca_epsilon", self.zca_epsilon, low_open=True)


def triangle(points, centres):
    """max(0, mean(z) - z) of points (n, d), z their distances to centres (m, d): (n, m)."""
    distances = points @ centres.T
    distances *= -2
    distances += np.einsum("nd,nd->n", points, points)[:, None]
    distances += np.einsum("md,md->m", centres, centres)
    np.sqrt(np.maximum(distances, 0, out=distances), out=distances)  # rounding can leave -0.0001
    np.subtract(distances.mean(axis=1, keepdims=True), distances, out=distances)
    return np.maximum(distances, 0, out=distances)
