"""A layer's learned attributes: they stand in its `state_`, a LayerState, and nowhere else.

They are what `fit` learned, or what was learned elsewhere and given to `from_filters`.
"""

from typing import Any, Self

from numpy.typing import ArrayLike

from minisca.backends import get_backend, name_of
from minisca.estimator import Estimator
from minisca.training.start import given_state
from minisca.types import Array
from minisca.validation import check_fitted


def _learned(name) -> Any:
    """An attribute of a layer that is read from its state, and written to it."""
    return property(
        lambda layer: layer._fitted_state().get(name),
        lambda layer, value: layer._fitted_state().set(name, value),
    )


class StateAttributes(Estimator):
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

    @classmethod
    def from_filters(
        cls,
        encoder_filters: ArrayLike,
        encoder_bias: ArrayLike,
        decoder_filters: ArrayLike | None,
        decoder_bias: ArrayLike,
        image_size: tuple[int, int],
        centre: ArrayLike | None = None,
        patch_energy: float = 0.0,
        **settings: Any,
    ) -> Self:
        """A layer with filters from elsewhere, as if `fit` had learned them.

        Parameters
        ----------
        encoder_filters, decoder_filters : arrays (m, c, k, k) of real numbers, k odd
            P and W, in PyTorch's layout; they are copied, as `dtype`. Without the decoder's, None,
            it has the encoder's: `tied`.
        encoder_bias, decoder_bias : arrays (m,) and (c,)
        image_size : (h, w) of the images
        centre : array (c,) to be taken off every image, or None (default)
        patch_energy : float, default 0
            E of `encoding_contrast`. Where it is 0, `partial_fit` measures that of its images.
        settings : the constructor's other arguments
            Not n_maps, filter_width and tied, which follow from the filters.

        Returns
        -------
        A layer without a `loss_history_`. `partial_fit` trains its filters on, `fit` begins anew.

        Raises
        ------
        ValueError or TypeError, naming the argument, for arrays that are not of real numbers, not
        finite, or that disagree in shape, and for bad settings.
        """
        for name in ("n_maps", "filter_width", "tied"):
            if name in settings:
                must = "it follows from the filters, and must not be given"
                raise TypeError(f"{name} is {settings[name]!r}; {must}")
        make: Any = cls
        layer = make(centre=centre is not None, tied=decoder_filters is None, **settings)
        layer.check_parameters()
        arrays = encoder_filters, encoder_bias, decoder_filters, decoder_bias
        others = image_size, patch_energy, layer.random_state
        layer.state_ = state = given_state(layer.dtype, arrays, centre, *others)
        n_maps, _, filter_width, _ = state.get("encoder_filters").shape
        layer.set_params(n_maps=n_maps, filter_width=filter_width)
        return layer

    @property
    def backend_(self) -> str:
        """The name of the backend that is used: what "auto" comes to on this machine."""
        self._fitted_state()
        return name_of(get_backend(self.backend))

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
