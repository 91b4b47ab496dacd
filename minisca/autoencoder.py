"""SparseConvAutoencoder: one layer, trained by winner-take-all (paper section 2).

Training (`training`) keeps the survivors of the sparsity rule alone; encoding (`encoding`) turns
the rule off and max-pools.
"""

import numpy as np
from tqdm import tqdm

from minisca.backends import CHOICES, get_backend, name_of
from minisca.encoding import Encoding
from minisca.estimator import Estimator
from minisca.sparsity import make_sparsity
from minisca.training.fit import Training
from minisca.training.optim import SCHEDULES
from minisca.training.saving import PARAMETERS, Saving
from minisca.validation import (
    check_choice,
    check_fitted,
    check_flag,
    check_images,
    check_integer,
    check_number,
)


class SparseConvAutoencoder(Training, Encoding, Saving, Estimator):
    """A convolutional autoencoder made sparse by what is allowed to survive in its feature maps.

    Parameters
    ----------
    n_maps : int, default 128
        Feature maps m.
    filter_width : odd int, default 7
        Side k of the square filters. Maps keep the image's size (zero padding k // 2).
    pool_width, pool_stride : int, default 5 and 3
        Overlapping max-pooling after training; a side of `size` becomes ceil(size / pool_stride).
    encoding_bias : float, default 1
        Factor on the encoder's bias in `transform` and `feature_maps`; 1 is the paper's encoding.
        Training drives the biases below zero, which silences what competes with a winner. With
        few maps the classifier is better served by denser features (16 maps: 0.5).
    sparsity : str, default "winner-take-all"
        What survives while training: "winner-take-all", the largest unit of each map; "top-n", the
        `n_active` largest of each map; "k-largest", the `n_active` largest of the image, whatever
        their map; "none", every unit.
    n_active : int or None
        For "top-n" and "k-largest" only.
    lifetime : float in (0, 1] or None
        With "winner-take-all": of each map's winners over a mini-batch only this fraction, the
        largest, survive.
    tied : bool, default False
        Decoder filters are the encoder's (W = P).
    normalise_filters : bool, default False
        Keep every decoder filter (c, k, k) at Euclidean norm 1, from the start and after every
        step, as sparse coding keeps its dictionary: then the code cannot shrink while the filters
        grow. With `tied`, the filters that are shared.
    n_epochs, batch_size : int
        Passes over the images, and images a step.
    learning_rate : float, default 0.05
        Of stochastic gradient descent on the mean over a batch of ||x_hat - x||^2. It is relative:
        the filters' rate is `learning_rate / patch_energy_`, so that a good value stays good for
        images of any scale and filters of any size (MNIST, 7 x 7: about a fifth of it). The encoder
        bias gets a tenth of it, the decoder bias, at which every pixel pulls, its quotient by the
        number of pixels.
    schedule : str, default "linear"
        How the learning rate of `fit` goes on beyond the warm-up: "linear" falls to 0 on a line,
        "cosine" on half a cosine, "constant" stays. `partial_fit` keeps it constant.
    warmup_steps : int, default 1000
        Steps over which the learning rate rises from 0, at most a fifth of all. Without it, rates
        that end well begin by driving biases so low that maps fall silent for good.
    momentum : float in [0, 1)
    init_scale : float
        Standard deviation of the initial filters, where they are not normalised.
    init_bias : float, default 0
        Where the encoder's biases start, in units of the first activations, so that a value means
        the same for images of any scale: of `init_scale * sqrt(patch_energy_)`, their root mean
        square before the ReLU (with filters that are `tied` and normalised, of
        `sqrt(patch_energy_ / (c k k))`). A positive start makes more units active at first, a
        negative one fewer. The decoder's biases start at 0.
    random_state : int or None
        Seed of the initial filters and the order of the images. None: different every time.
    backend : str, default "auto"
        Where everything is computed: "cpu", or a CUDA device through "cupy" or "numba_cuda"; "auto"
        takes CuPy, then Numba CUDA, then the CPU, whichever runs on this machine: see `backend_`.
        Whatever it is, what is learned are NumPy arrays. A file is loaded by any.
    dtype : "float32" (default) or "float64"
        What images are converted to and everything is computed in.
    verbose : bool, default True
        Progress bars, where standard error is a terminal.

    Attributes
    ----------
    encoder_filters_, decoder_filters_ : arrays (m, c, k, k), P and W; PyTorch's layout
    encoder_bias_ : array (m,);  decoder_bias_ : array (c,)
    patch_energy_ : float
        Mean squared norm of the c x k x k patches of the images that training began with.
    loss_history_ : list of float
        Mean of ||x_hat - x||^2 over each epoch, measured on the batches while training.
    n_channels_, image_size_ : int, and (height, width) of the images seen in `fit`
    n_epochs_done_ : int
    backend_ : str
        The name of the backend that is used: what "auto" comes to on this machine.
    """

    _estimator_type = "transformer"

    def __init__(
        self,
        n_maps=128,
        filter_width=7,
        pool_width=5,
        pool_stride=3,
        encoding_bias=1.0,
        sparsity="winner-take-all",
        n_active=None,
        lifetime=None,
        tied=False,
        normalise_filters=False,
        n_epochs=15,
        batch_size=100,
        learning_rate=0.05,
        schedule="linear",
        warmup_steps=1000,
        momentum=0.9,
        init_scale=0.01,
        init_bias=0.0,
        random_state=None,
        backend="auto",
        dtype="float32",
        verbose=True,
    ):
        self.n_maps = n_maps
        self.filter_width = filter_width
        self.pool_width = pool_width
        self.pool_stride = pool_stride
        self.encoding_bias = encoding_bias
        self.sparsity = sparsity
        self.n_active = n_active
        self.lifetime = lifetime
        self.tied = tied
        self.normalise_filters = normalise_filters
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.momentum = momentum
        self.init_scale = init_scale
        self.init_bias = init_bias
        self.random_state = random_state
        self.backend = backend
        self.dtype = dtype
        self.verbose = verbose

    def _check_parameters(self):
        check_integer("n_maps", self.n_maps)
        check_integer("filter_width", self.filter_width, odd=True)
        check_integer("pool_width", self.pool_width)
        check_integer("pool_stride", self.pool_stride)
        check_number("encoding_bias", self.encoding_bias)
        check_integer("n_epochs", self.n_epochs, minimum=0)
        check_integer("batch_size", self.batch_size)
        check_number("learning_rate", self.learning_rate, low_open=True)
        check_integer("warmup_steps", self.warmup_steps, minimum=0)
        check_number("momentum", self.momentum, 0, 1, high_open=True)
        check_number("init_scale", self.init_scale, low_open=True)
        check_number("init_bias", self.init_bias, -np.inf, low_open=True)
        check_flag("tied", self.tied)
        check_flag("normalise_filters", self.normalise_filters)
        check_choice("schedule", self.schedule, tuple(SCHEDULES))
        check_choice("dtype", self.dtype, ("float32", "float64"))
        if self.random_state is not None:
            check_integer("random_state", self.random_state, minimum=0)
        check_choice("backend", self.backend, CHOICES)
        self._sparsity()

    def _sparsity(self):
        return make_sparsity(self.sparsity, self.n_active, self.lifetime)

    @property
    def backend_(self):
        """The name of the backend that is used: what "auto" comes to on this machine."""
        check_fitted(self, "encoder_filters_")
        return name_of(get_backend(self.backend))

    def _parameters(self, backend):
        """All parameters where `backend` computes; with tied weights the filters are one array."""
        parameters = {name: backend.to_device(getattr(self, f"{name}_")) for name in PARAMETERS}
        if self.decoder_filters_ is self.encoder_filters_:
            parameters["decoder_filters"] = parameters["encoder_filters"]
        return parameters

    def _trained_parameters(self):
        """What the optimiser updates: with tied weights the filters only once."""
        names = (name for name in PARAMETERS if not (self.tied and name == "decoder_filters"))
        return {name: getattr(self, f"{name}_") for name in names}

    @property
    def _trained_dtype(self):
        return self.encoder_filters_.dtype

    def _check_trained_as_set(self):
        """Refuse to train on, or to save, filters that the parameters no longer describe."""
        trained = {
            "n_maps": len(self.encoder_filters_),
            "filter_width": self.encoder_filters_.shape[2],
            "tied": self.decoder_filters_ is self.encoder_filters_,
            "dtype": str(self._trained_dtype),
        }
        for name, value in trained.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be {value!r}, as the filters "
                    "were trained, unless fit is called again"
                )

    def _check_new(self, X):
        check_fitted(self, "encoder_filters_")
        self._check_parameters()
        return check_images(X, channels=self.n_channels_, size=self.image_size_)

    def _bar(self, **options):
        return tqdm(disable=None if self.verbose else True, dynamic_ncols=True, **options)
