"""The layers of rows in their folder: what their files are called, and each trained once a run."""

from common.ranks import together, waiting_for
from tables.rows import EXTENSIONS, OF_FEATURES

import minisca


def file_name(layers, preparation):
    """The name of the file of the last of these layers: it tells them apart, not their training."""
    layer = layers[-1]
    name = "-".join(str(below.n_maps) for below in layers)
    name += f"-width{layer.filter_width}-seed{layer.random_state}"
    name += "" if layer.lifetime is None else f"-lifetime-{layer.lifetime:g}"
    name += "" if layer.init_filters == "random" else f"-from-{layer.init_filters}"
    name += "" if layer.n_epochs else "-untrained"
    for option, plain in OF_FEATURES.items():
        value = getattr(layer, option)
        name += EXTENSIONS[option].format(value) if len(layers) > 1 and value != plain else ""
    return f"{name}-raw.npz" if preparation == "raw" else f"{name}.npz"


class LayerFiles:
    """The layers in a folder: each is trained once in a run, or gone on with where it `resume`s."""

    def __init__(self, directory, resume):
        self.directory = directory
        self.resume = resume
        self.trained = {}  # by path

    def fit(self, layer, features, name, watch):
        """The layer, trained on the features; loaded if this run has trained it.

        Its file is the one of a layer that has the plain values of `OF_FEATURES`.
        """
        path = self.directory / name
        chosen = {option: getattr(layer, option) for option in OF_FEATURES}
        if path not in self.trained:
            layer.set_params(**OF_FEATURES)
            # Of two that train the same layer, the slower would put its epochs over the other's.
            with waiting_for(self.directory.parent / "locks" / name), watch("train"):
                how = {"checkpoint": path, "resume": self.resume} | together()
                self.trained[path] = layer.fit(features, **how)
        return self.trained[path].set_params(**chosen)

    def is_unfinished(self, layer, name):
        """Whether its file is that of a run that was stopped."""
        path = self.directory / name
        return path.exists() and type(layer).load(path).n_epochs_done_ < layer.n_epochs


def named(row):
    """[(a layer of the row, not trained yet; its file's name)], the lowest first; not k-means."""
    if row.k_means:
        return []
    layers = [minisca.SparseConvAutoencoder(**options) for options in row.layers]
    names = (file_name(layers[:n], row.preparation) for n in range(1, len(layers) + 1))
    return list(zip(layers, names, strict=True))
