"""SparseConvAutoencoder: one layer, trained by winner-take-all (paper section 2).

A layer is its settings and one `LayerState`. Here stand the methods that train and encode; what
they do is in `minisca.training.epochs`, `minisca.training.fit` and `minisca.encoding`. Plots are in
`minisca.pictures`, filters from elsewhere in `minisca.training.attributes`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from minisca import encoding
from minisca.backends import get_backend
from minisca.communicators import on_images
from minisca.output import FeatureEstimator
from minisca.pictures import Plots
from minisca.training.arrivals import images_for
from minisca.training.attributes import StateAttributes
from minisca.training.centring import centred
from minisca.training.epochs import fit
from minisca.training.fit import check_layer_settings, initial_state, train
from minisca.training.state import LayerState
from minisca.types import Array, Callback, Images, PathLike


class SparseConvAutoencoder(StateAttributes, Plots, FeatureEstimator):
    """A convolutional autoencoder made sparse by what is allowed to survive in its feature maps.

    Parameters
    ----------
    n_maps : int, default 128
        Feature maps m.
    filter_width : odd int, default 7
        Side k of the square filters. Maps keep the image's size (zero padding k // 2).
    pool_width, pool_stride : int, default 5 and 3
        Overlapping max-pooling after training; a side of `size` becomes ceil(size / pool_stride).
    pool_origin : str, default "centred"
        Where the windows lie: "centred", together in the middle of the map; "corner", the first
        starts at pixel 0, and those at the far end are clipped.
    encoding_bias : float, default 1
        Factor on the encoder's bias in `transform` and `feature_maps` alone; 1 is the paper's.
        Training drives biases below zero; less of them makes features denser, which serves a
        classifier of few maps (16 maps: 0.5).
    encoding_contrast : float or None, default None
        epsilon > 0: in `transform` and `feature_maps` alone, a filter's answer to the c x k x k
        patch x_p of the (centred) image is divided by the contrast of what it sees:
        a_i = <P_i, x_p> / s + encoding_bias b_i, s^2 = (||x_p||^2 + epsilon E) / ((1 + epsilon) E).
        So s is 1 where ||x_p||^2 is E = `patch_energy_`. With E = 0 nothing is divided.
    flat : bool, default False
        `transform` returns a row an image, (n, m * h' * w'), as scikit-learn's classifiers take it;
        `get_feature_names_out` names the columns.
    sparsity : str, default "winner-take-all"
        What survives while training: "winner-take-all", the largest unit of each map; "top-n", the
        `n_active` largest of each map; "k-largest", the `n_active` largest of the image, whatever
        their map; "none", every unit.
    n_active : int or None, default None
    lifetime : float in (0, 1] or None, default None
        With "winner-take-all": of each map's winners over a mini-batch only this fraction, the
        largest, survive.
    tied : bool, default False
        Decoder filters are the encoder's (W = P).
    centre : bool, default False
        Take each channel's mean over the images of `fit` off all images, before the padding. For
        layers above the first; see `Stack`.
    n_epochs, batch_size : int, default 15 and 100
        Passes over the images, and images a step.
    learning_rate : float, default 0.05
        Of stochastic gradient descent on the mean over a batch of ||x_hat - x||^2. It is relative,
        so that a good value stays good for images of any scale and filters of any size: filters
        learn at `learning_rate / patch_energy_`, the encoder bias at `learning_rate / 10`, the
        decoder bias at `learning_rate / (h * w)`.
    schedule : "linear" (default) or "constant"
        How the learning rate of `fit` goes on beyond the warm-up: "linear" falls to 0 on a line.
    warmup_steps : int, default 1000
        Steps over which the learning rate rises from 0, at most a fifth of all. Without it, rates
        that end well begin by driving biases so low that maps fall silent for good.
    momentum : float in [0, 1), default 0.9
    init_filters : "random" (default) or "patches"
        What filters start from: normal numbers; or, encoder and decoder alike, random patches of
        the images (centred, if the layer is), scaled to the length that normal numbers have.
    init_scale : float, default 0.01
        Standard deviation of the initial filters, where they are not normalised. Biases start at 0.
    random_state : int or None, default None
        Seed of the initial filters and the order of the images. None: different every time.
    backend : str, default "auto"
        Where everything is computed: "cpu", or a CUDA device through "cupy" or "numba_cuda"; "auto"
        takes the first of CuPy, Numba CUDA and the CPU that runs on this machine. Whatever it is,
        what is learned are NumPy arrays, and a file is loaded by any.
    dtype : "float32" (default) or "float64"
        What images are converted to and everything is computed in.
    verbose : bool, default True
        Progress bars, on a terminal or in a notebook.

    Attributes
    ----------
    state_ : LayerState
        Everything learned. All that follows is read from it and written to it.
    encoder_filters_, decoder_filters_ : arrays (m, c, k, k) of `dtype`
        P and W, in PyTorch's layout. With `tied`, both are one array. Any may be replaced.
    encoder_bias_, decoder_bias_ : arrays (m,) and (c,) of `dtype`
    centre_ : array (c,) of `dtype`, or None without `centre`
    patch_energy_ : float
        Mean squared norm of the c x k x k patches of the images that training began with.
    loss_history_ : list of float
        Mean of ||x_hat - x||^2 over each epoch, measured on the batches while training.
    validation_loss_history_ : list of float
        The same of the validation images after each epoch of `fit`; empty without any.
    n_channels_, image_size_ : int and (int, int)
        Channels, and height and width, of the images seen in `fit`.
    n_epochs_done_, best_epoch_ : int
        Epochs that were done, and after which of them, from 1, the parameters were these.
    backend_ : str
        The name of the backend that is used.

    References
    ----------
    Makhzani and Frey, "A Winner-Take-All Method for Training Sparse ...", 2014, section 2.

    Examples
    --------
    >>> features = SparseConvAutoencoder(n_maps=16, filter_width=11).fit_transform(images)
    """

    _deleted_settings: ClassVar = {
        **{"init_bias": bool, "normalise_filters": bool},
        "schedule": lambda value: value == "cosine",
    }

    def __init__(
        self,
        n_maps: int = 128,
        filter_width: int = 7,
        pool_width: int = 5,
        pool_stride: int = 3,
        pool_origin: str = "centred",
        encoding_bias: float = 1.0,
        encoding_contrast: float | None = None,
        flat: bool = False,
        sparsity: str = "winner-take-all",
        n_active: int | None = None,
        lifetime: float | None = None,
        tied: bool = False,
        centre: bool = False,
        n_epochs: int = 15,
        batch_size: int = 100,
        learning_rate: float = 0.05,
        schedule: str = "linear",
        warmup_steps: int = 1000,
        momentum: float = 0.9,
        init_filters: str = "random",
        init_scale: float = 0.01,
        random_state: int | None = None,
        backend: str = "auto",
        dtype: str = "float32",
        verbose: bool = True,
    ) -> None:
        self._store(locals())

    def check_parameters(self) -> None:
        """As `Estimator.check_parameters`."""
        check_layer_settings(self)
        self._container()

    # Training ---------------------------------------------------------------------------------

    def fit(
        self,
        X: Images,
        y: object = None,
        checkpoint: PathLike | None = None,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
        validation_images: Images | None = None,
        communicator: Any = None,
    ) -> Self:
        """Train from fresh filters; returns self.

        Parameters
        ----------
        X : array (n, c, h, w) of any real dtype
            Anything that slices along its first axis (a memory map, an HDF5 data set): a batch is
            read at a time. Or an array of the backend's device, of uint8 or floats. y is ignored.
        checkpoint : path or None
            Where the state is saved before the first epoch and after every one.
        resume : bool, default False
            Go on from that file, if there is one, to what an uninterrupted fit would have reached.
        callbacks : list of callables
            Called as callback(layer, epoch, loss) after every epoch, from 1, before that is saved.
            Training ends if one returns True, or by an exception, with that epoch's state.
        validation_images : array like X, of any number, or None
            They are judged after every epoch: `validation_loss_history_`; see `EarlyStopping`.
        communicator : an mpi4py communicator, one of `minisca.communicators`, or None
            Of the ranks that train together, as `minisca.communicators` says.

        Raises
        ------
        ValueError or TypeError for bad images or parameters; DivergenceError when an epoch's loss
        is not finite, or above 10 times the images' mean squared norm; CheckpointError if the file
        to resume from is of other settings or images; ImportError or RuntimeError if the backend
        does not run here. What stops an epoch leaves all as it was. Warns if most maps are dead.
        ValueError, on every rank, where ranks do not agree.
        """
        return fit(self, X, checkpoint, resume, callbacks, validation_images, communicator)

    def partial_fit(self, X: Images, y: object = None) -> Self:
        """One pass over images X (n, c, h, w) at the constant learning rate; y is ignored.

        Goes on from where training stands, or from fresh filters. Returns self. Raises as `fit`
        does, and ValueError if a parameter that shapes the filters was changed since, or for a
        layer from an old file whose training minisca no longer knows.
        """
        self.check_parameters()
        backend = get_backend(self.backend)
        if not hasattr(self, "state_"):
            self.state_ = initial_state(self, images_for(backend, X))
        self._check_as_fitted()
        self.state_.check_trainable()
        X = images_for(backend, X, channels=self.n_channels_, size=self.image_size_)
        for state in train(self.state_, self, X, one_pass=True):
            self.state_ = state
        return self

    def loss_and_gradients(self, X: Images) -> tuple[float, dict[str, Array]]:
        """Mean of ||x_hat - x||^2 over images X (n, c, h, w), as one batch, and its gradients.

        Returns (float, {"encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias"}),
        shaped as the parameters. With tied filters the gradient of both their uses stands under
        "encoder_filters", and there is no "decoder_filters".
        """
        return encoding.loss_and_gradients(*self._checked(X))

    # Encoding ---------------------------------------------------------------------------------
    # Each raises NotFittedError before `fit`, else what that does, for images unlike its own too.

    def transform(
        self, X: Any, out: Any = None, to: str = "host", dtype: Any = None, communicator: Any = None
    ) -> Any:
        """Features of images X (n, c, h, w): convolution, ReLU, overlapping max-pooling.

        Returns an array (n, m, ceil(h / pool_stride), ceil(w / pool_stride)) of `dtype`, "float16"
        or by default the layer's, an image's maps as one row with `flat`; or `out`, an array of
        floats, there or on the backend's device, that is filled. to="device": they stay where the
        backend computes; what does not fit, a warning says, and where it is. communicator: as of
        `fit`; see `minisca.communicators.on_images.transform`.
        """
        if communicator is not None:
            return on_images.transform(communicator, self, [self], X, out, to, dtype=dtype)
        features = encoding.transform(*self._checked(X), out, to, dtype)
        return self._contained(features, self._features_shape(), out, to)

    def feature_maps(self, X: Images) -> Array:
        """ReLU feature maps before pooling: (n, m, h, w). Large: m times the size of X."""
        return encoding.feature_maps(*self._checked(X))

    def winners(self, X: Images) -> tuple[Array, Array]:
        """The largest unit of every map of every image, whatever the sparsity rule.

        Returns values (n, m), 0 where no unit is positive, and int32 positions (n, m), row by row.
        """
        return encoding.winners(*self._checked(X))

    def reconstruct(self, X: Images) -> Array:
        """Images rebuilt from what the sparsity rule, less its lifetime, lets survive."""
        return encoding.reconstruct(*self._checked(X))

    def score(self, X: Images, y: object = None, communicator: Any = None) -> float:
        """Minus the mean over images of ||x_hat - x||^2: the larger, the better."""
        if communicator is not None:
            return on_images.score(communicator, self, X)
        return encoding.score(*self._checked(X))

    def usage(self, X: Images, communicator: Any = None) -> Array:
        """Fraction of images X in which each map has a survivor: (m,) float64; 0 means dead."""
        if communicator is not None:
            return on_images.usage(communicator, self, X)
        return encoding.usage(*self._checked(X))

    def to_file(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """As `Estimator.to_file`."""
        arrays, numbers = self.state_.to_file()
        parameters = self.get_params(deep=False) | self.state_.deleted_settings
        return arrays, {"parameters": parameters, **numbers}

    @classmethod
    def from_file(cls, path: PathLike, arrays: dict[str, Array], settings: dict[str, Any]) -> Self:
        """As `Estimator.from_file`."""
        layer, deleted = cls._constructed(path, settings)
        layer.state_ = LayerState.from_file(path, arrays, settings, layer)
        layer.state_.deleted_settings = deleted
        return layer

    def _features_shape(self):
        return encoding.features_shape(self._fitted_state(), self, self.image_size_)

    def _checked(self, X) -> tuple[Any, Any, Any, Any]:
        """What every function of `minisca.encoding` takes: backend, state, settings, images."""
        state, backend = self._fitted_state(), get_backend(self.backend)
        self.check_parameters()
        state.check_arrays()
        X = images_for(backend, X, channels=state.n_channels, size=state.image_size)
        return backend, state, self, centred(X, state.centre)
