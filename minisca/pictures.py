"""What a layer or a stack shows of itself: plots, and the page that a notebook has of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minisca.estimator import Estimator
from minisca.types import Images
from minisca.validation import check_fitted, check_images

if TYPE_CHECKING:
    from minisca.figures.page import Page


class HTML(Estimator):
    """An estimator that a notebook shows as a page."""

    def _repr_html_(self) -> str:
        """Its parameters and, fitted, its filters and losses; without matplotlib."""
        return _figures("html").as_html(self)


class Plots(HTML):
    """The pictures of a fitted layer: each a `minisca.figures.page.Page`.

    A notebook shows it; `save(path)` writes it as a PNG; `figure` is matplotlib's. Each method
    raises NotFittedError before `fit`, ImportError where matplotlib is missing, and ValueError or
    TypeError for images unlike those of `fit`, and for those of other than 1 or 3 channels.
    """

    def plot_filters(self) -> "Page":
        """The decoder's filters, each from black to white, 0 mid-grey."""
        check_fitted(self, "state_")
        return _figures("filters").draw_filters(self.decoder_filters_)

    def plot_maps(self, image: Any, max_maps: int = 48) -> "Page":
        """What the layer makes of an image (c, h, w): winners, feature maps, pooled maps.

        Of layers with more maps the first `max_maps` are shown; see `draw_feature_panels`.
        """
        return _figures("features").draw_feature_panels(image, self, max_maps)

    def plot_reconstruction(self, images: Images) -> "Page":
        """Images (n, c, h, w), as few as are to be shown, over their reconstructions."""
        check_fitted(self, "state_")
        like = {"channels": self.n_channels_, "size": self.image_size_}
        images = check_images(images, "images", **like)
        rebuilt = self.reconstruct(images)
        return _figures("reconstructions").draw_reconstructions(images, rebuilt)

    def plot_loss(self) -> "Page":
        """The loss of every epoch and, where there were any, that of the validation images.

        Raises ValueError where there was no epoch yet.
        """
        check_fitted(self, "state_")
        if not self.loss_history_:
            raise ValueError("loss_history_ is empty; there must have been an epoch of training")
        curves, losses = {"training images": self.loss_history_}, self.validation_loss_history_
        if losses:
            epochs = range(self.n_epochs_done_ - len(losses) + 1, self.n_epochs_done_ + 1)
            curves["validation images"] = [list(epochs), losses]
        label = "mean of ‖x̂ - x‖² over an epoch's images"
        return _figures("curves").draw_curves(curves, ylabel=label)


def _figures(name):
    return import_module(f"minisca.figures.{name}")
