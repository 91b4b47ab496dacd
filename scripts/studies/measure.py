"""One trained layer of a study, and what every encoding of it scores on the validation images."""

from itertools import groupby

import numpy as np
from features.files import encode_layer
from features.scaling import SCALINGS, FeatureScaling
from studies.space import CLASSIFIERS, GONE, OF_FEATURES, OPTIONAL, digest
from tables.images import ZCA_EPSILON

import minisca
from minisca.preprocessing import ZCA, contrast_normalise


class Images:
    """Images to train on and to validate on, both of the training set; the test set is left out.

    whitened: contrast-normalised and ZCA-whitened, by the statistics of those to train on.
    """

    def __init__(self, data, n=None, whitened=False):
        (images, labels), (self.validation, self.validation_labels) = data.validation_split()
        n = len(images) if n is None else min(n, len(images))
        self.train, self.train_labels = images[:n], labels[:n]
        self.name = f"{data.name}, first {n:,} training images"
        if whitened:
            train, validation = map(contrast_normalise, (self.train, self.validation))
            whitener = ZCA(ZCA_EPSILON).fit(train)
            self.train, self.validation = map(whitener.transform, (train, validation))
            self.name += ", whitened"


class Measure:
    """Trains layers into the study's directory, once each, and scores encodings of them."""

    def __init__(self, images, space, runs_file, backend):
        self.images = images
        self.below = space.below
        self.score = space.score
        self.runs_file = runs_file
        self.backend = backend

    def layer_key(self, run):
        """The name of the run's trained layer: of all that decides it."""
        return digest(self.images.name, self.below, GONE | run.training, run.seed)

    def key(self, run):
        return digest(self.layer_key(run), run.encoding)

    def records(self, runs):
        """Yield (run, what was measured) for runs that share a layer, the layer trained first."""
        first = runs[0]
        train, validation = self._inputs(first)
        options = {name: v for name, v in first.training.items() if name != "input_scaling"}
        layer = self._layer(options, first.seed)
        path = self.runs_file.directory / "layers" / f"{self.layer_key(first)}.npz"
        try:
            layer.fit(train, checkpoint=path, resume=True)
        except minisca.DivergenceError as error:
            yield from ((run, {self.score: None, "why": str(error)}) for run in runs)
            return
        described = {
            "reconstruction_error": -layer.score(validation),
            "dead_maps": int((layer.usage(validation) < 0.001).sum()),
            "loss": layer.loss_history_[-1] if layer.loss_history_ else None,
        }
        if self.score == "reconstruction_error":
            yield from ((run, described) for run in runs)
            return
        for _, same in groupby(sorted(runs, key=_of_features), _of_features):
            features = None  # its memory is the next one's
            for run in same:
                features = features or self._features(layer, run.encoding, train, validation)
                yield run, described | self._classify(run.encoding, *features)

    def _layer(self, options, seed):
        return minisca.SparseConvAutoencoder(**options, random_state=seed, backend=self.backend)

    def _inputs(self, run):
        """What the layer is trained on and validated on: images, or the pooled maps below."""
        train, validation = self.images.train, self.images.validation
        if self.below is not None:
            below = self._layer(self.below, run.seed)
            name = "below-" + digest(self.images.name, self.below, run.seed)
            path = self.runs_file.directory / "layers" / f"{name}.npz"
            with self.runs_file.hold(name, wait=True):  # where another process trains it, for that
                below.fit(self.images.train, checkpoint=path, resume=True)
            train, validation = (encode_layer(below, images) for images in (train, validation))
        kind = run.training["input_scaling"]
        if kind == "none":
            return train, validation
        if kind == "contrast":
            return contrast_normalise(train), contrast_normalise(validation)
        if kind in SCALINGS:
            scaling = FeatureScaling(kind).fit(train)
            return scaling.apply_(train.copy()), scaling.apply_(validation.copy())
        return train * np.float32(kind), validation * np.float32(kind)

    def _features(self, layer, encoding, train, validation):
        layer.set_params(**{name: (OPTIONAL | encoding)[name] for name in OF_FEATURES})
        features = [encode_layer(layer, images) for images in (train, validation)]
        scaling = FeatureScaling(encoding["feature_scaling"]).fit(features[0])
        return [scaling.apply_(part) for part in features]

    def _classify(self, encoding, train, validation):
        options = {name: encoding[name] for name in ("l2", "max_iter", "tol")}
        classifier = CLASSIFIERS[encoding["classifier"]](**options)
        labels = self.images.train_labels
        n = min(encoding.get("labels", len(labels)), len(labels))
        classifier.fit(train[:n], labels[:n])
        wrong, loss, judged = 0, 0.0, 0
        halves = ((validation, self.images.validation_labels), (train[n:], labels[n:]))
        for features, truth in halves:
            if len(truth):
                scores = classifier._scores(features)
                codes = np.searchsorted(classifier.classes_, truth)
                wrong += int((scores.argmax(axis=1) != codes).sum())
                loss += float(classifier._row_losses(scores, codes)[0])
                judged += len(truth)
        return {
            "validation_error_percent": round(100 * wrong / judged, 4),
            "validation_loss": loss / judged,
            "iterations": classifier.n_iter_,
            "converged": classifier.converged_,
        }


def _of_features(run):
    """What of a run's encoding decides its features."""
    names = (*OF_FEATURES, "feature_scaling")
    return repr([(OPTIONAL | run.encoding)[name] for name in names])
