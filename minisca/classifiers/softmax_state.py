"""Where the training of `SoftmaxSGD` stands, and what its file holds."""

from dataclasses import dataclass, replace

import numpy as np

from minisca.files.checkpoint import (
    CheckpointError,
    Learned,
    fitting,
    random_state_from_json,
    require,
    require_learned,
)


@dataclass(frozen=True)
class State:
    """Where training stands after an epoch.

    The dicts have "coef" (n_classes, n_features) and "intercept" (n_classes,), of the features'
    dtype. In a file they take 3 times 4 n_classes n_features bytes, twice that for float64.
    """

    parameters: dict
    velocities: dict
    kept: dict  # the parameters of the best epoch
    random_state: dict  # of the generator that draws the order of the rows
    losses: tuple = ()  # of every epoch
    errors: tuple = ()  # the same, on the validation rows; empty without

    @classmethod
    def start(cls, settings, shape, dtype):
        """Before the first epoch."""
        random = np.random.default_rng(settings.random_state)
        coef = (settings.init_scale * random.standard_normal(shape)).astype(dtype)
        parameters = {"coef": coef, "intercept": np.zeros(shape[0], dtype)}
        velocities = {name: np.zeros_like(array) for name, array in parameters.items()}
        return cls(parameters, velocities, parameters, random.bit_generator.state)

    def after(self, loss, error, **reached):
        """The state after one more epoch; error: on the validation rows, or None without."""
        state = replace(self, **reached, losses=(*self.losses, loss))
        if error is None:
            return replace(state, kept=state.parameters)
        kept = self.kept if self.errors and min(self.errors) <= error else state.parameters
        return replace(state, kept=kept, errors=(*self.errors, error))

    def to_file(self):
        """Arrays and numbers, as a FitFile takes them."""
        arrays = {
            f"training/{part}/{name}": array
            for part in _PARTS
            for name, array in getattr(self, part).items()
        }
        arrays |= {f"training/{name}": np.array(getattr(self, name), float) for name in _HISTORIES}
        return arrays, {"random_state": self.random_state}

    @classmethod
    def from_file(cls, file, shape, dtype, n_epochs, held_out):
        """What `to_file` gave. CheckpointError, naming the file, if it does not fit."""
        path, (arrays, numbers) = file.path, file.found
        with fitting(path):
            if not isinstance(numbers, dict):
                raise TypeError(f"training is {numbers!r}; it must be by name")
        require(path, {}, {}, numbers, ("random_state",))
        with fitting(path):
            random = random_state_from_json(numbers["random_state"])
        shapes = {"coef": shape, "intercept": shape[:1]}
        wanted = {f"training/{name}": Learned((None,), "float64", 0) for name in _HISTORIES}
        for part in _PARTS:
            for name, of in shapes.items():
                wanted[f"training/{part}/{name}"] = Learned(of, str(dtype))
        require_learned(path, arrays, wanted)
        losses, errors = (arrays[f"training/{name}"].tolist() for name in _HISTORIES)
        if len(losses) > n_epochs or len(errors) != (len(losses) if held_out else 0):
            found = f"losses of {len(losses)} epochs and errors of {len(errors)}"
            must = f"as many, of {n_epochs} epochs at most" if held_out else "no errors"
            raise CheckpointError(f"{path} has {found}; there must be {must}")
        parts = ({name: arrays[f"training/{part}/{name}"] for name in shapes} for part in _PARTS)
        return cls(*parts, random.bit_generator.state, tuple(losses), tuple(errors))


_PARTS = ("parameters", "velocities", "kept")
_HISTORIES = ("losses", "errors")
