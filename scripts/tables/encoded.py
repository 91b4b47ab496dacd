"""Features that are encoded once: a row's for its classifiers, a first layer's for two rows."""

from features.files import encode_layer
from features.joined import Seen


def encode(row, layers, images, feature_files):
    """The features of the layers that the classifier sees: of all, or of the last alone."""
    features, outputs = images, []
    for layer in layers:
        features = encode_layer(layer, features, feature_files, row.stays_on_device)
        outputs = [*outputs, features] if "concatenate" in row.extensions else [features]
    return outputs


class HandedOn:
    """What the first layer makes of the training images, if the next row begins with it too."""

    def __init__(self):
        self._kept = None, None  # how the next row begins, and the features

    def features(self, row, following, encode):
        """Those that the row before left, or what `encode()` returns.

        following: the Row that comes next, or None. Features that are scaled in place are not left.
        """
        begins, (expected, found) = beginning(row), self._kept
        self._kept = None, None
        found = found if expected == begins else None
        found = encode() if found is None else found
        if beginning(following) == begins and row.scaling == "none":
            self._kept = begins, found
        return found


def beginning(row):
    """What decides the features of a row's first layer; None where they are not asked for."""
    if row is None or row.classifier is None:
        return None
    return row.preparation, row.layers[0], row.stays_on_device


class Encoded:
    """The features of a row, as all its classifiers see them: of training images, and of others.

    The list `outputs`, of what `train_layers` returns, is emptied.
    """

    def __init__(self, row, layers, outputs, images, feature_files):
        self.layers = layers
        self.is_last = True  # whether no other classifier comes
        self.row, self._files, self._images = row, feature_files, images
        self._test = None
        if row.classifier is not None:
            self._seen = Seen(row.scaling, images.views)
            self.train = self._seen.fit_transform(outputs)
            outputs.clear()  # what is done with must not stay in memory

    def see(self, images):
        """The features of any images."""
        return self._seen.transform(encode(self.row, self.layers, images, self._files))

    def see_test(self):
        """Those of the test images; for the last classifier nothing is kept."""
        if self.is_last:
            self.train = None
        found = self.see(self._images.test) if self._test is None else self._test
        self._test = None if self.is_last else found
        return found
