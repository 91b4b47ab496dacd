"""Ways to do better than the plain rows, each switched on by one argument and named in its records.

None of them uses a label before the classifier.
"""

from features.joined import JoinedFeatures
from features.scaling import SCALINGS, FeatureScaling
from features.shifts import augmented, shifted
from tables.run import Reproduction

import minisca

#: The classifier of the paper, in place of a linear SVM.
LOGISTIC = "logistic"

#: The second way of reading a classifier's scores, and what --shifts adds to the row's name.
SHIFTS = "shifts"


def add_extensions(parser):
    """The arguments; every one is off by default."""
    group = parser.add_argument_group("extensions, for rows of their own names")
    group.add_argument(
        "--classifier",
        choices=("svm", LOGISTIC),
        default="svm",
        help="a linear SVM with squared hinge (the default), or logistic regression as the paper's",
    )
    group.add_argument("--l2", type=float, help="the classifier's penalty, in place of the row's")
    group.add_argument(
        "--shifts",
        action="store_true",
        help="the row once more, scores averaged over the image and its 8 shifts by one pixel",
    )
    group.add_argument(
        "--augment",
        action="store_true",
        help="the classifier learns from images shifted by one pixel to the four sides as well, "
        "which takes five times the memory of its features",
    )
    group.add_argument(
        "--concatenate",
        action="store_true",
        help="the classifier sees the features of all layers, not of the last alone",
    )
    group.add_argument(
        "--lifetime", type=float, help="lifetime sparsity of the last layer, in (0, 1]"
    )
    group.add_argument(
        "--feature-scaling",
        choices=SCALINGS,
        help="before the classifier, in place of the row's",
    )


def extensions(arguments):
    """{name: value} of those that are on: what the records say, and in their order row names.

    --shifts is none of them: it reads the same classifier in a second way.
    """
    chosen = {
        "classifier": arguments.classifier if arguments.classifier == LOGISTIC else None,
        "l2": arguments.l2,
        "concatenate": arguments.concatenate or None,
        "lifetime": arguments.lifetime,
        "feature_scaling": arguments.feature_scaling,
        "augment": arguments.augment or None,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def label(chosen):
    """What tells a row with extensions from the plain one: "-logistic-concatenated", say."""
    scaling = chosen.get("feature_scaling")
    names = {
        "classifier": "-logistic",
        "l2": f"-l2-{chosen.get('l2'):g}" if "l2" in chosen else "",
        "concatenate": "-concatenated",
        "lifetime": f"-lifetime-{chosen.get('lifetime'):g}" if "lifetime" in chosen else "",
        "feature_scaling": f"-{'unscaled' if scaling == 'none' else scaling}",
        "augment": "-augmented",
    }
    return "".join(names[name] for name in chosen)


class ExtendedReproduction(Reproduction):
    """A reproduction whose rows may be extended.

    A row's "classifier" has the arguments of a linear SVM, its "logistic" those of logistic
    regression, its "feature_scaling", where there is one, how features are scaled before either.
    """

    classifier_class = minisca.LinearSVM

    def __init__(self, arguments, data):
        super().__init__(arguments, data)
        self.extensions = extensions(arguments)
        self.variant = label(self.extensions)
        self.last_layer_options = {n: v for n, v in self.extensions.items() if n == "lifetime"}
        self.keep_below = "concatenate" in self.extensions
        self.preparation = {"extensions": self.extensions} if self.extensions else {}
        self.ways = ("", SHIFTS) if arguments.shifts else ("",)
        if "classifier" in self.extensions:
            self.classifier_class = minisca.LogisticRegression

    def way_settings(self, settings, way):
        return settings | {"extensions": self.extensions | {SHIFTS: 1}} if way else settings

    def settings(self, row, seed):
        settings = super().settings(row, seed)
        kind = self.extensions.get("feature_scaling", self.rows[row].get("feature_scaling", "none"))
        return settings if kind == "none" else settings | {"feature_scaling": kind}

    def classifier_options(self, row):
        options = super().classifier_options(row)
        if options is not None and "classifier" in self.extensions:
            options = self.rows[row][LOGISTIC]
        if options is not None and "l2" in self.extensions:
            options = {**options, "l2": self.extensions["l2"]}
        return options

    def layer_variant(self, layer):
        return "" if layer.lifetime is None else label({"lifetime": layer.lifetime})

    def train(self, seed, settings, watch):
        self.kind = settings.get("feature_scaling", "none")
        return super().train(seed, settings, watch)

    def seen(self, outputs, learn):
        if learn:
            self.scalings = [FeatureScaling(self.kind).fit(features) for features in outputs]
        for scaling, features in zip(self.scalings, outputs, strict=True):
            scaling.apply_(features)
        if len(outputs) == 1:
            return outputs[0]
        if learn:
            self.joining = JoinedFeatures.scales(outputs)
        return JoinedFeatures(outputs, self.joining)

    def fit(self, classifier, layers, features, images, labels, watch):
        if "augment" in self.extensions:
            with watch("encode"):
                features, labels = augmented(
                    features, labels, images, lambda moved: self.encoded(layers, moved)
                )
        super().fit(classifier, layers, features, images, labels, watch)

    def predict(self, classifier, layers, images, watch, features=None):
        if SHIFTS not in self.ways:
            return super().predict(classifier, layers, images, watch, features)
        if features is None:
            with watch("encode"):
                features = self.encoded(layers, images)
        with watch("classify"):
            scores = classifier.decision_function(features)
            plain = _labels(classifier, scores)
        del features  # their memory is the shifted images'
        with watch(SHIFTS):
            for moved in shifted(images):
                scores = scores + classifier.decision_function(self.encoded(layers, moved))
        return {"": plain, SHIFTS: _labels(classifier, scores)}


def _labels(classifier, scores):
    codes = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
    return classifier.classes_[codes.astype(int)]
