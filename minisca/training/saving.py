"""How a layer is saved and loaded, and goes on training from where it was saved."""

import numpy as np

from minisca.files.checkpoint import (
    CheckpointError,
    load_checkpoint,
    random_state_from_json,
    random_state_to_json,
    require,
    save_checkpoint,
)
from minisca.validation import check_fitted, check_images, check_integer, check_number

#: What a layer learns; as attributes their names end in an underscore.
PARAMETERS = ("encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias")


class Saving:
    """`save` and `load` of `SparseConvAutoencoder`."""

    def save(self, path):
        """Write the layer, and where its training stands, to `path` (.npz, no pickle), atomically.

        Raises NotFittedError before `fit`, ValueError if a parameter that shapes the filters was
        changed after it.
        """
        check_fitted(self, "encoder_filters_")
        self._check_trained_as_set()
        save_checkpoint(path, type(self).__name__, *self.state())

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. Raises CheckpointError for any other or a damaged file."""
        arrays, settings = load_checkpoint(path, cls.__name__)
        return cls.from_state(path, arrays, settings)

    def state(self):
        """Everything learned, as arrays and settings that a checkpoint holds."""
        arrays = {name: getattr(self, f"{name}_") for name in PARAMETERS}
        arrays["loss_history"] = np.asarray(self.loss_history_, np.float64)
        for name, velocity in (self._velocities or {}).items():
            arrays[f"velocity/{name}"] = velocity
        settings = {
            "parameters": self.get_params(deep=False),
            "image_size": list(self.image_size_),
            "n_epochs_done": self.n_epochs_done_,
            "patch_energy": self.patch_energy_,
            "random_state": random_state_to_json(self._random),
        }
        return arrays, settings

    @classmethod
    def from_state(cls, path, arrays, settings):
        """The layer that `state` described; `path` is named in error messages."""
        names = ("parameters", "image_size", "n_epochs_done", "patch_energy", "random_state")
        require(path, {}, {}, settings, names)
        try:
            layer = cls(**settings["parameters"])
            layer._check_parameters()
            layer._random = random_state_from_json(settings["random_state"])
            layer.image_size_ = tuple(
                check_integer("image_size", s) for s in settings["image_size"]
            )
            if len(layer.image_size_) != 2:
                raise ValueError(f"image_size is {layer.image_size_}; it must be (height, width)")
            layer.n_epochs_done_ = check_integer("n_epochs_done", settings["n_epochs_done"], 0)
            energy = check_number("patch_energy", settings["patch_energy"], low_open=True)
            layer.patch_energy_ = energy
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path} has settings that do not fit: {error}") from error
        filters = (layer.n_maps, "channels", layer.filter_width, layer.filter_width)
        shapes = {
            "encoder_filters": filters,
            "encoder_bias": (layer.n_maps,),
            "decoder_filters": filters,
            "decoder_bias": ("channels",),
        }
        velocities = {f"velocity/{name}": shape for name, shape in shapes.items()}
        if layer.tied:
            del velocities["velocity/decoder_filters"]
        if any(name in arrays for name in velocities):  # there is none before the first step
            shapes |= velocities
        sizes = require(path, arrays, shapes | {"loss_history": (layer.n_epochs_done_,)})
        for name in (*shapes, "loss_history"):
            dtype = "float64" if name == "loss_history" else layer.dtype
            if arrays[name].dtype != dtype:
                raise CheckpointError(
                    f"{path}: array {name!r} has dtype {arrays[name].dtype}; it must be {dtype}"
                )
        layer.n_channels_ = sizes["channels"]
        for name in PARAMETERS:
            setattr(layer, f"{name}_", arrays[name])
        if layer.tied:
            layer.decoder_filters_ = layer.encoder_filters_
        layer.loss_history_ = arrays["loss_history"].tolist()
        trained = layer._trained_parameters()
        layer._velocities = None
        if velocities.keys() <= shapes.keys():
            layer._velocities = {name: arrays[f"velocity/{name}"] for name in trained}
        return layer

    def _resume(self, path, X):
        """Take over the state saved at `path`; False if there is no such file."""
        try:
            saved = type(self).load(path)
        except FileNotFoundError:
            return False
        free = ("verbose", "backend")
        mine, theirs = self.get_params(deep=False), saved.get_params(deep=False)
        for name in mine:
            if name not in free and mine[name] != theirs[name]:
                raise CheckpointError(
                    f"{path} was trained with {name}={theirs[name]!r}; to resume from it, "
                    f"{name} must be that, not {mine[name]!r}"
                )
        check_images(X, channels=saved.n_channels_, size=saved.image_size_)
        for name, value in vars(saved).items():
            if name not in mine:
                setattr(self, name, value)
        return True
