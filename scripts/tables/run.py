"""What the scripts that reproduce a table of the paper share: train, encode, classify, report.

A script names its rows and its data in a subclass of `Reproduction` and parses its arguments with
`make_parser` and `parse`.
"""

import argparse
from pathlib import Path

import numpy as np
from common.options import add_backend_option, check_counts, check_seeds, resolve_backend
from common.pictures import draw_losses, draw_results
from common.records import Results, Stopwatch, environment, published
from tables.report import report

import minisca

#: Features larger than this are kept in float16.
FLOAT32_BYTES = 4 << 30

#: Every second layer of the paper's; the filters' width, which it does not print, is our choice.
SECOND_LAYER = {"filter_width": 5, "pool_width": 3, "pool_stride": 2}

#: What --quick leaves of the training and of the test images.
QUICK_IMAGES = (5000, 2000)


def make_parser(description, rows, rows_help, data_help, output):
    """A parser of the arguments that all of these scripts have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=rows, help=rows_help)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--epochs", type=int, help="epochs of the first layer")
    parser.add_argument("--deep-epochs", type=int, help="epochs of the second layer")
    parser.add_argument("--data-dir", help=data_help)
    add_backend_option(parser)
    parser.add_argument("--output", default=output, help=f"default: {output}")
    parser.add_argument("--resume", action="store_true", help="go on from what --output holds")
    parser.add_argument("--quick", action="store_true", help="few images, few epochs, every row")
    return parser


def parse(parser, default_rows, quick_rows):
    """The checked arguments; `rows` is filled in where it was not given."""
    arguments = parser.parse_args()
    check_counts(parser, arguments, "epochs", "deep_epochs")
    check_seeds(parser, arguments)
    print(f"Backend: {resolve_backend(parser, arguments.backend)}")
    arguments.rows = arguments.rows or (quick_rows if arguments.quick else default_rows)
    return arguments


class Reproduction:
    """One run of a script: the data, the output directory, and what is shared between rows."""

    #: What a subclass sets: the experiments' prefix in reference/paper.toml; the name that its
    #: loader gives the original data; what each row trains: the arguments of its layers, lowest
    #: first, and of its classifier (None: the row is measured by its reconstruction).
    prefix = None
    original = None
    rows = None

    #: Of a layer, in a --quick run.
    quick_maps = 512

    #: The table's columns between seed and time: heading, key of a record, unit.
    columns = (
        ("paper", "paper_percent", " %"),
        ("test error", "test_error_percent", " %"),
        ("validation error", "validation_error_percent", " %"),
    )

    #: Told apart in the names of records and files, and written into a record's settings: how the
    #: images were prepared, where there is more than one way.
    variant = ""
    preparation = {}  # noqa: RUF012 (a subclass sets its own)

    #: How a classifier's scores become labels: "" for plainly, and any other way, of which there is
    #: a record of its own, "-" and its name added to the row's.
    ways = ("",)

    #: Set in the last layer, over what the row has for it.
    last_layer_options = {}  # noqa: RUF012
    classifier_class = minisca.LogisticRegression
    #: Whether `seen` is given the features of all layers, or of the last alone.
    keep_below = False

    def __init__(self, arguments, data):
        self.arguments = arguments
        self.output = Path(arguments.output)
        self.results = Results(self.output, arguments.resume)
        self.data = data
        self.train_images = data.train_images  # what the first layer learns from
        self.test_images = data.test_images
        self.comparable = data.name == self.original and not arguments.quick
        self.trained = {}  # layers trained or loaded in this run, by file name
        self.drawn = set()

    # what a script may do in its own way ------------------------------------------------

    def encode(self, layer, images):
        """The layer's features, in float16 where float32 would be too large to hold."""
        shape = feature_shape(layer, images)
        dtype = np.float32 if float32_bytes(shape) <= FLOAT32_BYTES else np.float16
        return layer.transform(images, out=np.empty(shape, dtype))

    def layer_variant(self, layer):
        """What tells a layer's file from those of other variants."""
        return self.variant

    def joined(self, features):
        """What the classifier sees: one row of features a label."""
        return features

    def seen(self, outputs, learn):
        """What the classifier is given of the layers' outputs, lowest first.

        learn: they are of the training images; what follows is done as they had it.
        """
        return outputs[-1]

    def fit(self, classifier, layers, features, images, labels, watch):
        """Fit the classifier to the features of these images."""
        with watch("classify"):
            classifier.fit(features, labels)

    def predict(self, classifier, layers, images, watch, features=None):
        """{way: labels of images}, `features` being theirs where they are encoded already."""
        if features is None:
            with watch("encode"):
                features = self.encoded(layers, images)
        with watch("classify"):
            return {"": classifier.predict(features)}

    def way_settings(self, settings, way):
        """What a record says of one of the `ways`, where there are several."""
        return settings

    def classifier_options(self, row):
        """The arguments of the row's classifier; None where it has none."""
        return self.rows[row]["classifier"]

    def validation_split(self):
        return self.data.validation_split()

    def draw_layers(self, directory, row, layers):
        """Pictures of a row's layers; of the first seed that ran."""

    def draw_results(self, directory, row, predicted):
        images, labels = self.data.test_images, self.data.test_labels
        draw_results(directory, row, images, labels, predicted)

    def record_names(self):
        """Every row that the report lists, in its order."""
        return [f"{self.prefix}-{row}" for row in self.rows]

    def closing_words(self):
        """What the report ends with."""

    # a run ------------------------------------------------------------------------------

    def settings(self, row, seed):
        """Everything that decides the row's outcome, in plain numbers and names."""
        layers = []
        declared = self.rows[row]["layers"]
        for depth, options in enumerate(declared):
            epochs = (self.arguments.epochs, self.arguments.deep_epochs)[depth]
            options = {**options, "random_state": seed, "backend": self.arguments.backend}
            if depth == len(declared) - 1:
                options |= self.last_layer_options
            if self.arguments.quick:
                options |= {"n_epochs": 2, "n_maps": min(self.quick_maps, options["n_maps"])}
            if epochs is not None:
                options["n_epochs"] = epochs
            layers.append(minisca.SparseConvAutoencoder(**options).get_params(deep=False))
        classifier = self.classifier_options(row)
        if classifier is not None:
            classifier = self.classifier_class(**classifier).get_params(deep=False)
        return {
            "layers": layers,
            "classifier": classifier,
            "train_images": len(self.data.train_images),
            "quick": self.arguments.quick,
            **self.preparation,
        }

    def run_all(self):
        """Every row with every seed, then the report."""
        for seed in self.arguments.seeds:
            for row in self.arguments.rows:
                self.run(row, seed)
        report(self)

    def run(self, row, seed):
        """Measure one row with one seed, unless its records are there already."""
        settings = self.settings(row, seed)
        name = f"{self.prefix}-{row}{self.variant}"
        names = {"": name}
        if settings["classifier"] is not None:
            names |= {way: f"{name}-{way}" for way in self.ways if way}
        kept = (
            self.results.find(names[way], seed, self.data.name, self.way_settings(settings, way))
            for way in names
        )
        if all(kept):
            print(f"row {row}, seed {seed}: already in {self.results.path}")
            return
        print(f"row {row}, seed {seed}")
        watch = Stopwatch()
        layers, features = self.train(seed, settings, watch)
        measured = {"": {}}
        if settings["classifier"] is None:
            with watch("reconstruct"):
                error = -layers[0].score(self.test_images[:1000])
            measured[""]["reconstruction_error"] = error
        else:
            measured = self.classify(row, layers, features, settings, watch)
        self.draw(row, layers)
        for way in names:
            record = {
                "row": names[way],
                "seed": seed,
                "test_error_percent": None,
                "validation_error_percent": None,
                "paper_percent": published(names[way]) if self.comparable else None,
                "data": self.data.name,
                "settings": self.way_settings(settings, way),
                "backend": layers[0].backend_,
                "seconds": self.seconds(watch, way),
                "losses": [layer.loss_history_ for layer in layers],
            }
            self.results.add(record | measured[way] | environment())

    def seconds(self, watch, way):
        """By phase, and in total: a phase named after a way is of that way alone."""
        spent = {
            phase: seconds
            for phase, seconds in watch.seconds.items()
            if phase == way or phase not in self.ways
        }
        return spent | {"total": round(sum(spent.values()), 2)}

    def train(self, seed, settings, watch):
        """The row's layers, each trained on the features of the one below; what `seen` makes."""
        features, layers, outputs = self.train_images, [], []
        for options in settings["layers"]:
            layer = minisca.SparseConvAutoencoder(**options)
            maps = "-".join(str(below.n_maps) for below in [*layers, layer])
            name = f"{maps}-width{layer.filter_width}-seed{seed}{self.layer_variant(layer)}.npz"
            path = self.output / "layers" / name
            if path not in self.trained:
                path.unlink(missing_ok=True) if not self.arguments.resume else None
                with watch("train"):
                    self.trained[path] = layer.fit(features, checkpoint=path, resume=True)
            layers.append(self.trained[path])
            if settings["classifier"] is not None:
                with watch("encode"):
                    features = self.encode(layers[-1], features)
                outputs = [*outputs, features] if self.keep_below else [features]
        return layers, self.seen(outputs, learn=True) if outputs else features

    def encoded(self, layers, images):
        """What the classifier sees of images that it was not fitted on."""
        features, outputs = images, []
        for layer in layers:
            features = self.encode(layer, features)
            outputs = [*outputs, features] if self.keep_below else [features]
        return self.joined(self.seen(outputs, learn=False))

    def classify(self, row, layers, features, settings, watch):
        """{way: validation error without the validation labels, test error with all of them}."""
        features = self.joined(features)
        (_, fit_labels), (_, validation_labels) = self.validation_split()
        n = len(fit_labels)
        classifier = self.classifier_class(**settings["classifier"])
        self.fit(classifier, layers, features[:n], self.train_images[:n], fit_labels, watch)
        images = self.train_images[n:]
        validation = self.predict(classifier, layers, images, watch, features[n:])
        labels = self.data.train_labels
        self.fit(classifier, layers, features, self.train_images, labels, watch)
        del features
        test = self.predict(classifier, layers, self.test_images, watch)
        seed = settings["layers"][0]["random_state"]
        name = f"{row}-seed{seed}{self.variant}.npz"
        classifier.save(self.output / "classifiers" / name)
        if row not in self.drawn:
            self.draw_results(self.output / "pictures", f"{row}{self.variant}", test[""])
        return {
            way: {
                "test_error_percent": error_percent(test[way], self.data.test_labels),
                "validation_error_percent": error_percent(validation[way], validation_labels),
            }
            for way in self.ways
        }

    def draw(self, row, layers):
        """Pictures of the row, of the first seed that ran."""
        if row in self.drawn:
            return
        self.drawn.add(row)
        pictures = self.output / "pictures"
        self.draw_layers(pictures, f"{row}{self.variant}", layers)
        draw_losses(pictures / f"{row}{self.variant}-loss.png", layers)


def error_percent(predicted, labels):
    return round(100 * float(np.mean(predicted != labels)), 4)


def feature_shape(layer, images):
    """The shape of `layer.transform(images)`."""
    sides = [-(-side // layer.pool_stride) for side in images.shape[2:]]
    return (len(images), layer.n_maps, *sides)


def float32_bytes(shape):
    return 4 * int(np.prod(shape, dtype=np.int64))


def first_images(data):
    """What a --quick run uses of the data set, and says so in its name."""
    n_train, n_test = QUICK_IMAGES
    if len(data.train_images) <= n_train:
        return data
    return minisca.datasets.Dataset(
        data.train_images[:n_train],
        data.train_labels[:n_train],
        data.test_images[:n_test],
        data.test_labels[:n_test],
        name=f"{data.name}, first {n_train:,} training and {n_test:,} test images",
        source=data.source,
    )
