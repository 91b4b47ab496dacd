"""A layer's learned attributes: they stand in its `state_`, a LayerState, and nowhere else."""

from typing import Any

from minisca.types import Array
from minisca.validation import check_fitted


def _learned(name) -> Any:
    """An attribute of a layer that is read from its state, and written to it."""
    return property(
        lambda layer: layer._fitted_state().get(name),
        lambda layer, value: layer._fitted_state().set(name, value),
    )


class StateAttributes:
    """What a layer has learned, as attributes."""

    encoder_filters_: Array = _learned("encoder_filters")
    encoder_bias_: Array = _learned("encoder_bias")
    decoder_filters_: Array = _learned("decoder_filters")
    decoder_bias_: Array = _learned("decoder_bias")
    centre_: Array | None = _learned("centre")
    patch_energy_: float = _learned("patch_energy")
    loss_history_: list[float] = _learned("loss_history")
    validation_loss_history_: list[float] = _learned("validation_loss_history")
    n_channels_: int = _learned("n_channels")
    image_size_: tuple[int, int] = _learned("image_size")
    n_epochs_done_: int = _learned("n_epochs_done")

    @property
    def best_epoch_(self) -> int:
        """The epoch, from 1, after which the parameters were as they are."""
        state = self._fitted_state()
        return state.n_epochs_done if state.best_epoch is None else state.best_epoch

    def _check_as_fitted(self):
        self._fitted_state().check_settings(self)

    def _fitted_state(self):
        check_fitted(self, "state_")
        return self.state_
