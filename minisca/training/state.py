"""LayerState: everything that a layer has learned and where its training stands, in one place.

A state is plain data. Training never changes one in place: every epoch makes a new one.

The file of a layer (`layer.save`, `fit(checkpoint=...)`) is a .npz archive without pickle. It holds
the arrays "encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias", "loss_history" and
"velocity/..." of each that is trained, under tied filters a copy of the encoder's as the decoder's,
"centre" where the layer is centred, "validation_loss_history" where there were validation images,
and while `EarlyStopping` watches "best/..." of all that is trained; and the entry "minisca", JSON
text: format, version, kind, and as settings the constructor's arguments ("parameters"), image_size,
n_epochs_done, patch_energy and the random state.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from minisca.backends.operands import as_real_array
from minisca.files.checkpoint import (
    CheckpointError,
    Learned,
    fitting,
    random_state_from_json,
    require,
    require_learned,
)
from minisca.training.images import check_fingerprint
from minisca.validation import check_integer, check_number

#: What a layer can learn. With tied filters there are no "decoder_filters": see `decoder_filters`.
PARAMETERS = ("encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias")


def decoder_filters(parameters):
    """The decoder's filters (m, c, k, k) among {name: array}.

    Tied filters are one array, the encoder's: "decoder_filters" is then missing. This is the one
    place that says so.
    """
    return parameters.get("decoder_filters", parameters["encoder_filters"])


@dataclass
class LayerState:
    """What a layer has learned, for m maps, k x k filters and images (c, h, w).

    All arrays are NumPy's, of the layer's dtype.

    Attributes
    ----------
    parameters : dict of arrays
        "encoder_filters" (m, c, k, k), P; "encoder_bias" (m,); "decoder_filters" (m, c, k, k), W,
        missing where the filters are tied; "decoder_bias" (c,).
    velocities : dict of arrays
        Momentum's, under the names of `parameters` and in their shapes; 0 before the first step.
    random_state : dict
        Of the generator that draws the order of the images, as NumPy's bit generator has it.
    n_channels : int
        Channels c of the images.
    image_size : (int, int)
        Height h and width w of the images.
    patch_energy : float
        Mean squared norm of the c x k x k patches of the images that training began with; 0 while
        these were zeros.
    loss_history : list of float
        Mean of ||x_hat - x||^2 over the images of each epoch.
    n_epochs_done : int
    images : dict or None
        The fingerprint of the images that `fit` began with (`minisca.training.images`).
    centre : array (c,) or None
        What is taken off every image: the mean of each channel over the images that training began
        with; None where nothing is.
    validation_loss_history : list of float
        Mean of ||x_hat - x||^2 over the validation images after each epoch of `fit` that had some.
    validation_images : dict or None
        Their fingerprint.
    best : (dict, dict) or None
        While `EarlyStopping` watches: parameters and velocities after the best epoch so far.
    best_epoch : int or None
        The epoch, from 1, that the parameters were restored to; None where they are the last's.
    deleted_settings : dict
        Settings of an old file that minisca no longer has and that shaped its training.
    """

    parameters: dict
    velocities: dict
    random_state: dict
    n_channels: int
    image_size: tuple
    patch_energy: float
    loss_history: list = field(default_factory=list)
    n_epochs_done: int = 0
    images: dict | None = None
    centre: np.ndarray | None = None
    validation_loss_history: list = field(default_factory=list)
    validation_images: dict | None = None
    best: tuple | None = None
    best_epoch: int | None = None
    deleted_settings: dict = field(default_factory=dict)

    @property
    def tied(self):
        """Whether encoder and decoder share their filters."""
        return "decoder_filters" not in self.parameters

    @property
    def dtype(self):
        """NumPy's dtype of every array."""
        return self.parameters["encoder_filters"].dtype

    def get(self, name):
        """An array or another attribute, by name; of tied filters the one array there is."""
        if name == "decoder_filters":
            return decoder_filters(self.parameters)
        return self.parameters[name] if name in PARAMETERS else getattr(self, name)

    def set(self, name, value):
        """Replace what `get(name)` returns; an array is converted to the layer's dtype.

        Momentum begins anew in one of another shape.
        """
        if name == "decoder_filters" and self.tied:
            name = "encoder_filters"
        if name in PARAMETERS or (name == "centre" and value is not None):
            value = np.array(as_real_array(f"{name}_", value), self.dtype, order="C")
        if name not in PARAMETERS:
            setattr(self, name, value)
            return
        if value.shape != self.parameters[name].shape:
            self.velocities[name] = np.zeros_like(value)
        self.parameters[name] = value

    def check_arrays(self):
        """Raise ValueError or TypeError, naming it, if an array no longer fits the filters."""
        encoder = np.asarray(self.parameters["encoder_filters"])
        if encoder.ndim != 4 or encoder.shape[1] != self.n_channels:
            must = f"(m, {self.n_channels}, k, k), as the images have {self.n_channels} channels"
            raise ValueError(f"encoder_filters_ has shape {encoder.shape}; it must be {must}")
        shapes = _shapes(len(encoder), self.n_channels, encoder.shape[2])
        shapes["centre"] = (self.n_channels,)
        learned = self.parameters | ({} if self.centre is None else {"centre": self.centre})
        for arrays, kind in ((learned, ""), (self.velocities, "the velocity of ")):
            for name, array in arrays.items():
                what, must = f"{kind}{name}_", "as encoder_filters_"
                if np.shape(array) != shapes[name]:
                    found = f"{what} has shape {np.shape(array)}"
                    raise ValueError(f"{found}; it must be {shapes[name]}, {must}")
                if not isinstance(array, np.ndarray) or array.dtype != encoder.dtype:
                    found = getattr(array, "dtype", type(array).__name__)
                    must = f"an array of {encoder.dtype}, {must}"
                    raise TypeError(f"{what} is of {found}; it must be {must}")

    def check_settings(self, settings):
        """Raise ValueError if the settings no longer describe the filters; see `check_arrays`."""
        self.check_arrays()
        filters = self.parameters["encoder_filters"]
        trained = {"n_maps": len(filters), "filter_width": filters.shape[2]}
        trained |= {"tied": self.tied, "centre": self.centre is not None, "dtype": str(self.dtype)}
        for name, value in trained.items():
            if getattr(settings, name) != value:
                raise ValueError(
                    f"{name} is {getattr(settings, name)!r}; it must be {value!r}, as the filters "
                    "were trained, unless fit is called again"
                )

    def check_trainable(self, what="this layer", error=ValueError):
        """Raise `error` if `what` was trained with a setting that minisca no longer has."""
        for name, value in self.deleted_settings.items():
            raise error(
                f"{what} was trained with {name}={value!r}, which minisca no longer has: it can be "
                "used, but not trained on; call fit to start again"
            )

    def to_file(self):
        """Arrays and settings, as `save_checkpoint` takes them."""
        arrays = {name: self.get(name) for name in PARAMETERS}
        arrays["loss_history"] = np.asarray(self.loss_history, np.float64)
        arrays |= {f"velocity/{name}": value for name, value in self.velocities.items()}
        if self.centre is not None:
            arrays["centre"] = self.centre
        if self.validation_loss_history:
            losses = np.asarray(self.validation_loss_history, np.float64)
            arrays["validation_loss_history"] = losses
        for start, kept in zip(_BEST, self.best or (), strict=False):
            arrays |= {f"{start}{name}": array for name, array in kept.items()}
        later = {"validation_images": self.validation_images, "best_epoch": self.best_epoch}
        later = {name: value for name, value in later.items() if value is not None}
        return arrays, later | {
            "image_size": list(self.image_size),
            "n_epochs_done": self.n_epochs_done,
            "patch_energy": self.patch_energy,
            "random_state": self.random_state,
            "images": self.images,
        }

    @classmethod
    def from_file(cls, path, arrays, settings, layer):
        """The state of `layer`, whose settings are checked, from what `to_file` gave.

        Raises CheckpointError, naming `path`, if something is missing or does not fit.
        """
        require(path, {}, {}, settings, _SETTINGS)
        with fitting(path):
            random_state_from_json(settings["random_state"])
            image_size = tuple(check_integer("image_size", s) for s in settings["image_size"])
            if len(image_size) != 2:
                raise ValueError(f"image_size is {image_size}; it must be (height, width)")
            n_epochs_done = check_integer("n_epochs_done", settings["n_epochs_done"], 0)
            energy = check_number("patch_energy", settings["patch_energy"])
            images = check_fingerprint(settings.get("images"))  # old files have none
            later = _of_validation(settings, arrays, n_epochs_done)
        shapes = parameter_shapes(layer, "channels")
        trained = [name for name in PARAMETERS if not (layer.tied and name == "decoder_filters")]
        velocities = {f"velocity/{name}": shapes[name] for name in trained}
        if any(name in arrays for name in velocities):  # old files have none before the first step
            shapes |= velocities
        if layer.centre:
            shapes["centre"] = ("channels",)
        kept = [name for name in arrays if name.startswith(_BEST)]
        if kept:
            shapes |= {f"{start}{name}": shapes[name] for start in _BEST for name in trained}
        wanted = {name: Learned(shape, layer.dtype) for name, shape in shapes.items()}
        require_learned(
            path, arrays, wanted | {"loss_history": Learned((n_epochs_done,), "float64")}
        )
        if layer.tied and not np.array_equal(arrays["decoder_filters"], arrays["encoder_filters"]):
            must = "of tied filters they are the same"
            raise CheckpointError(f"{path} has other decoder_filters than encoder_filters; {must}")
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        parameters = {name: arrays[name] for name in trained}
        velocities = {
            name: arrays.get(f"velocity/{name}", np.zeros_like(value))
            for name, value in parameters.items()
        }
        random_state, losses = settings["random_state"], arrays["loss_history"].tolist()
        n_channels = arrays["encoder_filters"].shape[1]
        shape = n_channels, image_size
        history = losses, n_epochs_done, images, arrays.get("centre") if layer.centre else None
        if kept:
            best = ({name: arrays[start + name] for name in trained} for start in _BEST)
            later["best"] = tuple(best)
        return cls(parameters, velocities, random_state, *shape, energy, *history, **later)


def _of_validation(settings, arrays, n_epochs_done):
    """What a file says of validation images, of which most say nothing: {attribute: value}."""
    known = check_fingerprint(settings.get("validation_images"), "validation_images")
    losses, epoch = arrays.get("validation_loss_history", np.empty(0)), settings.get("best_epoch")
    if losses.dtype != np.float64 or losses.ndim != 1 or len(losses) > n_epochs_done:
        must = f"it must be float64, of {n_epochs_done} epochs at most"
        found = f"is of {losses.dtype} and shape {losses.shape}"
        raise ValueError(f"validation_loss_history {found}; {must}")
    if epoch is not None and check_integer("best_epoch", epoch) > n_epochs_done:
        raise ValueError(f"best_epoch is {epoch}; it must be at most {n_epochs_done}")
    found = {"validation_loss_history": losses.tolist()}
    return found | {"validation_images": known, "best_epoch": epoch}


#: Where a file has the best epoch's parameters and velocities.
_BEST = ("best/parameters/", "best/velocities/")
_SETTINGS = ("image_size", "n_epochs_done", "patch_energy", "random_state")


def in_unit(state, unit):
    """The state of a layer whose images are all multiplied by `unit`, a power of two."""
    if unit == 1:
        return state

    def scaled(arrays):
        return {
            name: array * array.dtype.type(unit) if name.endswith("bias") else array
            for name, array in arrays.items()
        }

    return replace(
        state,
        parameters=scaled(state.parameters),
        velocities=scaled(state.velocities),
        patch_energy=state.patch_energy * unit**2,
    )


def parameter_shapes(settings, n_channels):
    """{name: shape} of `PARAMETERS`, for a layer of these settings and images of c channels."""
    return _shapes(settings.n_maps, n_channels, settings.filter_width)


def _shapes(n_maps, n_channels, filter_width):
    filters = (n_maps, n_channels, filter_width, filter_width)
    return {
        "encoder_filters": filters,
        "encoder_bias": (n_maps,),
        "decoder_filters": filters,
        "decoder_bias": (n_channels,),
    }
