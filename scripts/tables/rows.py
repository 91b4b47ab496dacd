"""What a row of a table is: plain data, and how the command's options change it."""

import copy
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from features.scaling import SCALINGS
from tables.images import ZCA_EPSILON

import minisca
from minisca import LinearSVM, LogisticRegression
from minisca.backends import get_backend, name_of
from minisca.baselines import TriangleKMeans

#: Every second layer of the paper's; the filters' width, which it does not print, is our choice.
SECOND_LAYER = {"filter_width": 5, "pool_width": 3, "pool_stride": 2}

#: Of an SVM on a device: it counts iterations of L-BFGS there, milliseconds each, of which it needs
#: more than passes of the CPU's descent; `tol` ends most fits before.
DEVICE_ITERATIONS = 500

#: The options that make other rows of it, and what they add to its name.
EXTENSIONS = {
    "classifier": "-{}",
    "l2": "-l2-{:g}",
    "concatenate": "-concatenated",
    "lifetime": "-lifetime-{:g}",
    "encoding_contrast": "-contrast-{:g}",
    "pool_origin": "-{}",
    "feature_scaling": "-{}",
    "augment": "-augmented",
}

#: Those that shape all layers' features, and so what a layer above learns from, but not the layer
#: itself: the value with which it is trained.
OF_FEATURES = {"encoding_contrast": None, "pool_origin": "centred"}


@dataclass(frozen=True)
class Row:
    """What a row trains, and how the features are classified."""

    layers: tuple  # of dicts: the arguments of the layers, lowest first
    classifier: object = None  # before `fit`; None: the row is measured by its reconstruction
    others: dict = field(default_factory=dict)  # what --classifier puts in its place, by name
    preparation: str = "none"  # of the images: contrast-normalised ("raw"), or "whitened" as well
    scaling: str = "none"  # of the features before the classifier: one of `SCALINGS`
    altered: str = ""  # scored once more, over images so `ALTERED` too, for a record of its own
    k_means: bool = False  # its one layer is a `TriangleKMeans`, which prepares patches by itself
    figures: bool = False  # the small layers of the paper's Figures 2 and 3 are drawn too
    extensions: dict = field(default_factory=dict)  # `EXTENSIONS` that made it another row

    @property
    def variant(self):
        """What its records' and files' names end with: "-logistic-concatenated", say."""
        names = (EXTENSIONS[name].format(value) for name, value in self.extensions.items())
        name = "".join(names).replace("-none", "-unscaled")
        return f"-raw{name}" if self.preparation == "raw" else name

    @property
    def ways(self):
        """How the classifier is scored, a record for each: plainly, and over altered images."""
        return ("", self.altered) if self.altered and self.classifier is not None else ("",)

    @property
    def stays_on_device(self):
        """Whether its features go from the layers to the classifier where both compute."""
        on_host = self.scaling != "none" or {"concatenate", "augment"} & self.extensions.keys()
        return getattr(self.classifier, "backend", "cpu") != "cpu" and not on_host

    def settings(self, n_images, quick, way=""):
        """Everything that decides the outcome, in plain numbers and names."""
        classifier = self.classifier
        found = {
            "layers": list(self.layers),
            "classifier": classifier and classifier.get_params(deep=False),
            "train_images": n_images,
            "quick": quick,
        }
        if self.preparation != "none":
            found["zca_epsilon"] = ZCA_EPSILON if self.preparation == "whitened" else None
        if self.extensions or way:
            found["extensions"] = self.extensions | ({way: 1} if way else {})
        if self.scaling != "none":
            found["feature_scaling"] = self.scaling
        return found


class Table(NamedTuple):
    """What the rows of a table have in common."""

    prefix: str  # of its experiments in reference/paper.toml
    original: str  # the name that its loader gives the original data
    rows: dict  # {name: Row}
    accuracies: bool = False  # whether the paper's figures are accuracies, not errors
    quick_maps: int = 512  # of a layer, at most, in a --quick run
    large_in_files: bool = True  # whether features too large for float32 lie in files

    def comparable(self, data, quick):
        """Whether what is measured on the data of this name may stand beside the paper's."""
        return data == self.original and not quick


def prepared(rows, arguments):
    """{name: Row} of the command's rows, their images whitened or raw."""
    preparation = "whitened" if arguments.whitened else "raw"
    return {
        name: rows[name] if rows[name].k_means else replace(rows[name], preparation=preparation)
        for name in arguments.rows
    }


def planned(row, seed, quick_maps, arguments):
    """The row with all parameters: the seed, of layers backend, what the arguments change."""
    if "random_state" in (row.classifier.get_params(deep=False) if row.classifier else ()):
        row = replace(row, classifier=copy.copy(row.classifier).set_params(random_state=seed))
    name = name_of(get_backend(arguments.backend))
    row = replace(row, classifier=classifier_on(name, row.classifier))
    if row.k_means:
        options = {**row.layers[0], "random_state": seed, "backend": name}
        if arguments.quick:
            options |= {"n_patches": 10_000, "n_maps": min(quick_maps, options["n_maps"])}
        return replace(row, layers=(TriangleKMeans(**options).get_params(),))
    layers = []
    for options, epochs in zip(row.layers, (arguments.epochs, arguments.deep_epochs), strict=False):
        options = {**options, "random_state": seed, "backend": arguments.backend}
        if arguments.quick:
            options["n_epochs"] = min(2, options.get("n_epochs", 2))
            options["n_maps"] = min(quick_maps, options["n_maps"])
        if epochs is not None and options.get("n_epochs") != 0:  # filters that are never trained
            options["n_epochs"] = epochs
        layers.append(minisca.SparseConvAutoencoder(**options).get_params(deep=False))
    return replace(row, layers=tuple(layers))


def classifier_on(backend, classifier):
    """The classifier, or where it can be fitted on the device of this backend, one that is."""
    if backend == "cpu" or not isinstance(classifier, LinearSVM | LogisticRegression):
        return classifier
    there = copy.copy(classifier).set_params(backend=backend)
    if isinstance(there, LinearSVM):
        there.set_params(max_iter=DEVICE_ITERATIONS)
    return there


# Extensions do better than the plain rows; none of them uses a label before the classifier. -----


#: What --classifier chooses from.
CLASSIFIERS = {
    "svm": "a linear SVM with squared hinge",
    "logistic": "logistic regression, as the paper's",
    "sgd": "softmax by SGD without penalty, stopped early on validation images",
}


def add_classifiers(parser, plain):
    """What the classifier is and sees; plain: the name of the rows' own. Returns their group."""
    group = parser.add_argument_group("extensions, for rows of their own names")
    kinds = "; ".join(f"{name}: {text}" for name, text in CLASSIFIERS.items())
    group.add_argument(
        "--classifier",
        nargs="+",
        choices=CLASSIFIERS,
        default=[plain],
        help=f"{kinds}; of several, all see the same features; default: {plain}",
    )
    group.add_argument("--l2", type=float, help="the classifier's penalty, in place of the row's")
    group.add_argument(
        "--concatenate",
        action="store_true",
        help="the classifier sees the features of all layers, not of the last alone",
    )
    parser.set_defaults(plain_classifier=plain)
    return group


def check_classifier(parser, arguments):
    """Refuse a penalty out of range, and one of a classifier that has none."""
    if arguments.l2 is None:
        return
    if not arguments.l2 > 0:
        parser.error(f"--l2 is {arguments.l2}; it must be more than 0")
    if "sgd" in arguments.classifier:
        parser.error(f"--l2 is {arguments.l2}; it must not be given, for sgd has no penalty")


def add_extensions(group):
    """The options of all others, in the group of `add_classifiers`; off by default."""
    add_altered(group, "shifts", "its 8 shifts by a pixel")
    group.add_argument(
        "--augment",
        action="store_true",
        help="the classifier learns from images shifted by one pixel to the four sides as well, "
        "which takes five times the memory of its features",
    )
    group.add_argument(
        "--lifetime", type=float, help="lifetime sparsity of the last layer, in (0, 1]"
    )
    group.add_argument(
        "--feature-scaling",
        choices=SCALINGS,
        help="before the classifier, in place of the row's",
    )


def add_altered(group, name, images):
    """The option --NAME, for one of `ALTERED`; images: what these are of an image, in words."""
    text = f"the row once more, scores averaged over the image and {images}"
    options = {"dest": "altered", "action": "store_const", "const": name, "default": ""}
    group.add_argument(f"--{name}", help=text, **options)


def extensions(arguments, classifier=None):
    """{name: value} of those that are on: what the records say, and in their order row names.

    classifier: the one of --classifier that it is about. `altered` is none of them: it scores the
    same classifier a second time.
    """
    chosen = {name: getattr(arguments, name, None) for name in EXTENSIONS}
    chosen["classifier"] = classifier
    off = (None, False, "centred", arguments.plain_classifier)
    return {name: value for name, value in chosen.items() if value not in off}


def with_extensions(rows, arguments):
    """{name: [Row, one a classifier]} of the command's rows, which differ in nothing else."""
    altered = getattr(arguments, "altered", "")
    classifiers = dict.fromkeys(getattr(arguments, "classifier", [None]))
    each = [extensions(arguments, classifier) for classifier in classifiers]
    return {
        name: [extended(row, chosen, altered) for chosen in (each[:1] if row.k_means else each)]
        for name, row in rows.items()
    }


def extended(row, chosen, altered=""):
    """The row with these extensions; k-means, which has none, as it is."""
    if row.k_means:
        return row
    layers = row.layers
    if "lifetime" in chosen:
        layers = (*layers[:-1], {**layers[-1], "lifetime": chosen["lifetime"]})
    of_all = {name: chosen[name] for name in OF_FEATURES if name in chosen}
    layers = tuple(layer | of_all for layer in layers)
    classifier = row.classifier
    if "classifier" in chosen and classifier is not None:
        classifier = row.others[chosen["classifier"]]
    if "l2" in chosen and classifier is not None:
        classifier = copy.copy(classifier).set_params(l2=chosen["l2"])
    return replace(
        row,
        layers=layers,
        classifier=classifier,
        scaling=chosen.get("feature_scaling", row.scaling),
        altered=altered,
        extensions=chosen,
    )
