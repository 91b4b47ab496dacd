"""Ways to do better than the plain rows, each switched on by one argument and named in its records.

None of them uses a label before the classifier.
"""

import numpy as np
from feature_scaling import SCALINGS, FeatureScaling
from joined_features import JoinedFeatures
from reproduction import Reproduction

import minisca

#: The classifier of the paper, in place of a linear SVM.
LOGISTIC = "logistic"


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
        help="average the classifier's scores over the image and its 8 shifts by one pixel",
    )
    group.add_argument(
        "--concatenate",
        action="store_true",
        help="the classifier sees the features of all layers, not of the last alone",
    )
    group.add_argument("--lifetime", type=float, help="lifetime sparsity of all layers, in (0, 1]")
    group.add_argument(
        "--feature-scaling", choices=SCALINGS, default="none", help="before the classifier"
    )


def extensions(arguments):
    """{name: value} of those that are on: what the records say, and in their order row names."""
    chosen = {
        "classifier": arguments.classifier if arguments.classifier == LOGISTIC else None,
        "l2": arguments.l2,
        "shifts": 1 if arguments.shifts else None,
        "concatenate": arguments.concatenate or None,
        "lifetime": arguments.lifetime,
        "feature_scaling": None
        if arguments.feature_scaling == "none"
        else arguments.feature_scaling,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def label(chosen):
    """What tells a row with extensions from the plain one: "-logistic-shifts", say."""
    names = {
        "classifier": "-logistic",
        "l2": f"-l2-{chosen.get('l2'):g}" if "l2" in chosen else "",
        "shifts": "-shifts",
        "concatenate": "-concatenated",
        "lifetime": f"-lifetime-{chosen.get('lifetime'):g}" if "lifetime" in chosen else "",
        "feature_scaling": f"-{chosen.get('feature_scaling')}",
    }
    return "".join(names[name] for name in chosen)


class ExtendedReproduction(Reproduction):
    """A reproduction whose rows may be extended.

    A row's "classifier" has the arguments of a linear SVM, its "logistic" those of logistic
    regression.
    """

    classifier_class = minisca.LinearSVM

    def __init__(self, arguments, data):
        super().__init__(arguments, data)
        self.extensions = extensions(arguments)
        self.variant = label(self.extensions)
        lifetime = {n: v for n, v in self.extensions.items() if n == "lifetime"}
        self.layer_variant = label(lifetime)
        self.layer_options = lifetime
        self.keep_below = "concatenate" in self.extensions
        self.preparation = {"extensions": self.extensions} if self.extensions else {}
        if "classifier" in self.extensions:
            self.classifier_class = minisca.LogisticRegression

    def classifier_options(self, row):
        options = super().classifier_options(row)
        if options is not None and "classifier" in self.extensions:
            options = self.rows[row][LOGISTIC]
        if options is not None and "l2" in self.extensions:
            options = {**options, "l2": self.extensions["l2"]}
        return options

    def seen(self, outputs, learn):
        if learn:
            kind = self.extensions.get("feature_scaling", "none")
            self.scalings = [FeatureScaling(kind).fit(features) for features in outputs]
        for scaling, features in zip(self.scalings, outputs, strict=True):
            scaling.apply_(features)
        if len(outputs) == 1:
            return outputs[0]
        if learn:
            self.joining = JoinedFeatures.scales(outputs)
        return JoinedFeatures(outputs, self.joining)

    def predict(self, classifier, layers, images, watch, features=None):
        if "shifts" not in self.extensions:
            return super().predict(classifier, layers, images, watch, features)
        total = 0
        for shifted in one_pixel_shifts(images):
            with watch("encode"):
                features = self.encoded(layers, shifted)
            with watch("classify"):
                total = total + classifier.decision_function(features)
        codes = total > 0 if total.ndim == 1 else total.argmax(axis=1)
        return classifier.classes_[codes.astype(int)]


def one_pixel_shifts(images):
    """Yield the images (n, c, h, w), then as they are shifted to all 8 sides; zeros come in."""
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for down, right in sorted(np.ndindex(3, 3), key=lambda place: place != (1, 1)):
        yield padded[:, :, 2 - down : 2 - down + height, 2 - right : 2 - right + width]
