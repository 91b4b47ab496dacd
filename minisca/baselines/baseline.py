"""What every baseline shares: a progress bar, saving, and loading what was saved."""

import numpy as np
from tqdm import tqdm

from minisca.estimator import Estimator
from minisca.files.checkpoint import CheckpointError, load_checkpoint, require, save_checkpoint
from minisca.validation import check_fitted, check_images, check_integer


class Baseline(Estimator):
    """An estimator with `random_state` and `verbose`, learned from images.

    A subclass names what it learns. `_learned_shapes()`: {array name: shape, as `require` takes
    it}; the attributes are these names and an underscore. `_check_parameters()`: raise for a bad
    constructor argument. It sets `n_channels_` and `image_size_` in `fit`.
    """

    #: The learned array whose presence means that the estimator is fitted.
    _main = None

    def save(self, path):
        """Write the fitted estimator to `path`: whole or not at all, a .npz without pickle.

        Raises NotFittedError before `fit`, ValueError if a parameter that shapes what was learned
        was changed after it.
        """
        self._check_as_fitted()
        arrays = {name: getattr(self, f"{name}_") for name in self._learned_shapes()}
        settings = {
            "parameters": self.get_params(),
            "n_channels": self.n_channels_,
            "image_size": list(self.image_size_),
        }
        save_checkpoint(path, type(self).__name__, arrays, settings)

    @classmethod
    def load(cls, path):
        """The estimator that `save(path)` wrote; raises CheckpointError for any other file."""
        arrays, settings = load_checkpoint(path, cls.__name__)
        require(path, {}, {}, settings, ("parameters", "n_channels", "image_size"))
        try:
            estimator = cls(**settings["parameters"])
            estimator._check_parameters()
            estimator.n_channels_ = check_integer("n_channels", settings["n_channels"])
            height, width = settings["image_size"]
            estimator.image_size_ = check_integer("height", height), check_integer("width", width)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path} has settings that do not fit: {error}") from error
        shapes = estimator._learned_shapes()
        require(path, arrays, shapes)
        for name in shapes:
            setattr(estimator, f"{name}_", arrays[name])
        return estimator

    def _check_shared_parameters(self):
        if self.random_state is not None:
            check_integer("random_state", self.random_state, minimum=0)

    def _check_new(self, X):
        """Images X like those of `fit`, or an exception that says what is wrong with them."""
        self._check_as_fitted()
        return check_images(X, channels=self.n_channels_, size=self.image_size_)

    def _check_as_fitted(self):
        """Refuse to work without `fit`, or with what the parameters no longer describe."""
        check_fitted(self, f"{self._main}_")
        self._check_parameters()
        for name, shape in self._learned_shapes().items():
            found = getattr(self, f"{name}_").shape
            if any(
                isinstance(side, int) and side != n for side, n in zip(shape, found, strict=True)
            ):
                raise ValueError(
                    f"{name}_ has shape {found}; the parameters, changed since fit, ask for "
                    f"{shape}: call fit again"
                )

    def _remember_images(self, X):
        self.n_channels_ = int(X.shape[1])
        self.image_size_ = (int(X.shape[2]), int(X.shape[3]))

    def _bar(self, **options):
        return tqdm(disable=None if self.verbose else True, dynamic_ncols=True, **options)


def blocks(n, bytes_per_item, limit):
    """Slices that cover range(n), each of as many items as fit into `limit` bytes, at least one."""
    step = max(1, limit // bytes_per_item)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def draw_normal(random, shape, scale, dtype):
    """Normally distributed numbers of standard deviation `scale`."""
    return (scale * random.standard_normal(shape)).astype(np.dtype(dtype))
