"""The features of a row: encoded once, for all of its classifiers."""

from features.files import encode_layer
from features.joined import Seen


def encode(row, layers, images, feature_files):
    """The features of the layers that the classifier sees: of all, or of the last alone."""
    features, outputs = images, []
    for layer in layers:
        features = encode_layer(layer, features, feature_files, row.stays_on_device)
        outputs = [*outputs, features] if "concatenate" in row.extensions else [features]
    return outputs


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
