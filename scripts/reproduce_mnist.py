"""Table 1 of the paper on MNIST: train, encode, pool, classify, report.

    python scripts/reproduce_mnist.py                      rows 16 and 128, one seed
    python scripts/reproduce_mnist.py --rows deep          128 maps, then 2048 on top of them
    python scripts/reproduce_mnist.py --quick              a few minutes' version of every row

The features are learned from the images alone, all training images, never a label. The classifier
is fitted twice: without the validation images' labels, for the validation error, and with all
training labels, for the test error. The test set is read once a row and seed. Every setting was
chosen beforehand on validation error, with the validation images left out of all training.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from mnist_pictures import draw_layer, draw_losses, draw_results
from records import Results, Stopwatch, environment, print_table, published

import minisca
from minisca.backends import available_backends

#: Features larger than this are kept in float16.
FLOAT32_BYTES = 4 << 30

FIRST_LAYER = {"filter_width": 7, "pool_width": 5, "pool_stride": 3}
SECOND_LAYER = {
    "filter_width": 5,
    "pool_width": 3,
    "pool_stride": 2,
    "n_epochs": 4,
    "init_scale": 0.002,
}

#: What each row trains: the arguments of its layers, lowest first, and of its classifier.
ROWS = {
    "16": {
        "layers": [{"n_maps": 16, "encoding_bias": 0.5, **FIRST_LAYER}],
        "classifier": {"l2": 3e-4},
    },
    "128": {"layers": [{"n_maps": 128, **FIRST_LAYER}], "classifier": {}},
    "deep": {
        "layers": [{"n_maps": 128, **FIRST_LAYER}, {"n_maps": 2048, **SECOND_LAYER}],
        "classifier": {},
    },
    "reconstruction": {
        "layers": [{**FIRST_LAYER, "n_maps": 16, "filter_width": 11, "n_epochs": 40}],
        "classifier": None,
    },
}
DEFAULT_ROWS = ["16", "128"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS, help="which rows (default: 16 128; --quick: 16 128 deep)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--epochs", type=int, help="epochs of the first layer")
    parser.add_argument("--deep-epochs", type=int, help="epochs of the second layer")
    parser.add_argument("--data-dir", help="directory with MNIST's IDX files, or files like them")
    parser.add_argument("--backend", default="auto", choices=["auto", *available_backends()])
    parser.add_argument("--output", default="out/mnist", help="default: out/mnist")
    parser.add_argument("--resume", action="store_true", help="go on from what --output holds")
    parser.add_argument("--quick", action="store_true", help="few images, few epochs, every row")
    arguments = parser.parse_args()
    for name in ("epochs", "deep_epochs"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
    if min(arguments.seeds) < 0:
        parser.error(f"--seeds has {min(arguments.seeds)}; seeds are 0 or larger")
    arguments.rows = arguments.rows or (["16", "128", "deep"] if arguments.quick else DEFAULT_ROWS)
    return arguments


class Reproduction:
    """One run of the script: the data, the output directory, and what is shared between rows."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.output = Path(arguments.output)
        self.results = Results(self.output, arguments.resume)
        self.data = load_data(arguments)
        self.comparable = self.data.name == "MNIST" and not arguments.quick
        self.trained = {}  # layers trained or loaded in this run, by file name
        self.drawn = set()

    def settings(self, row, seed):
        """Everything that decides the row's outcome, in plain numbers and names."""
        layers = []
        for depth, options in enumerate(ROWS[row]["layers"]):
            epochs = (self.arguments.epochs, self.arguments.deep_epochs)[depth]
            options = {**options, "random_state": seed, "backend": self.arguments.backend}
            if self.arguments.quick:
                options |= {"n_epochs": 2, "n_maps": min(512, options["n_maps"])}
            if epochs is not None:
                options["n_epochs"] = epochs
            layers.append(minisca.SparseConvAutoencoder(**options).get_params(deep=False))
        classifier = ROWS[row]["classifier"]
        if classifier is not None:
            classifier = minisca.LogisticRegression(**classifier).get_params(deep=False)
        return {
            "layers": layers,
            "classifier": classifier,
            "train_images": len(self.data.train_images),
            "quick": self.arguments.quick,
        }

    def run(self, row, seed):
        """Measure one row with one seed, unless its record is there already."""
        settings = self.settings(row, seed)
        name = f"mnist-{row}"
        record = self.results.find(name, seed, self.data.name, settings)
        if record is not None:
            print(f"row {row}, seed {seed}: already in {self.results.path}")
            return
        print(f"row {row}, seed {seed}")
        watch = Stopwatch()
        layers, features = self.train(row, seed, settings, watch)
        record = {
            "row": name,
            "seed": seed,
            "test_error_percent": None,
            "validation_error_percent": None,
            "paper_percent": None,
            "data": self.data.name,
            "settings": settings,
            "seconds": watch.seconds,
            "losses": [layer.loss_history_ for layer in layers],
        }
        if row == "reconstruction":
            with watch("reconstruct"):
                record["reconstruction_error"] = -layers[0].score(self.data.test_images[:1000])
        else:
            record["paper_percent"] = published(name) if self.comparable else None
            record |= self.classify(row, layers, features, settings, watch)
        self.draw(row, seed, layers)
        watch.seconds["total"] = round(sum(watch.seconds.values()), 2)
        self.results.add(record | environment())

    def train(self, row, seed, settings, watch):
        """The row's layers, each trained on the features of the one below; the last features."""
        features, layers = self.data.train_images, []
        for options in settings["layers"]:
            layer = minisca.SparseConvAutoencoder(**options)
            maps = "-".join(str(below.n_maps) for below in [*layers, layer])
            path = self.output / "layers" / f"{maps}-width{layer.filter_width}-seed{seed}.npz"
            if path not in self.trained:
                path.unlink(missing_ok=True) if not self.arguments.resume else None
                with watch("train"):
                    self.trained[path] = layer.fit(features, checkpoint=path, resume=True)
            layers.append(self.trained[path])
            if row != "reconstruction":
                with watch("encode"):
                    features = encode(layers[-1], features)
        return layers, features

    def classify(self, row, layers, features, settings, watch):
        """Validation error without the validation labels, test error with all training labels."""
        (_, fit_labels), (_, validation_labels) = self.data.validation_split()
        n = len(fit_labels)
        with watch("classify"):
            classifier = minisca.LogisticRegression(**settings["classifier"])
            classifier.fit(features[:n], fit_labels)
            validation_error = 1 - classifier.score(features[n:], validation_labels)
            classifier.fit(features, self.data.train_labels)
        del features
        with watch("encode"):
            test_features = self.data.test_images
            for layer in layers:
                test_features = encode(layer, test_features)
        with watch("classify"):
            predicted = classifier.predict(test_features)
        test_error = np.mean(predicted != self.data.test_labels)
        seed = settings["layers"][0]["random_state"]
        classifier.save(self.output / "classifiers" / f"{row}-seed{seed}.npz")
        if row not in self.drawn:
            draw_results(self.output / "pictures", row, self.data, predicted)
        return {
            "test_error_percent": round(100 * test_error, 4),
            "validation_error_percent": round(100 * validation_error, 4),
        }

    def draw(self, row, seed, layers):
        """Pictures of the row, of the first seed that ran."""
        if row in self.drawn:
            return
        self.drawn.add(row)
        pictures = self.output / "pictures"
        draw_layer(pictures, row, layers, self.data, self.arguments.quick)
        draw_losses(pictures / f"{row}-loss.png", layers)

    def report(self):
        """The paper's figure beside each of ours."""
        rows = []
        for row in ROWS:
            found = [
                record
                for record in self.results.records
                if record["row"] == f"mnist-{row}" and record["data"] == self.data.name
            ]
            for record in found:
                rows.append(table_row(record))
            if len(found) > 1:
                rows.append(mean_row(found))
        header = [
            "row",
            "seed",
            "paper",
            "test error",
            "validation error",
            "reconstruction",
            "time",
        ]
        print(f"\nData: {self.data.name} ({self.data.source})")
        print_table(header, rows)
        if not self.comparable:
            why = "a --quick run" if self.arguments.quick else f"measured on {self.data.name}"
            print(f"These figures are {why}: they compare with nothing published.")
        print(f"Records: {self.results.path}; pictures: {self.output / 'pictures'}")
        if not any(record["row"] == "mnist-deep" for record in self.results.records):
            command = (
                f"python scripts/reproduce_mnist.py --rows deep --resume --output {self.output}"
            )
            print(f"The deep row (128 then 2048 maps) takes about 40 minutes more: {command}")


def load_data(arguments):
    data = minisca.datasets.load_mnist(arguments.data_dir)
    if arguments.quick and len(data.train_images) > 5000:
        data = type(data)(
            data.train_images[:5000],
            data.train_labels[:5000],
            data.test_images[:2000],
            data.test_labels[:2000],
            name=f"{data.name}, first 5,000 training and 2,000 test images",
            source=data.source,
        )
    return data


def encode(layer, images):
    """The layer's features, in float16 where float32 would be too large to hold."""
    sides = [-(-side // layer.pool_stride) for side in images.shape[2:]]
    shape = (len(images), layer.n_maps, *sides)
    dtype = np.float32 if 4 * np.prod(shape) <= FLOAT32_BYTES else np.float16
    return layer.transform(images, out=np.empty(shape, dtype))


def percent(value):
    return "-" if value is None else f"{value:.2f} %"


def table_row(record):
    reconstruction = record.get("reconstruction_error")
    return [
        record["row"],
        str(record["seed"]),
        percent(record["paper_percent"]),
        percent(record["test_error_percent"]),
        percent(record["validation_error_percent"]),
        "-" if reconstruction is None else f"{reconstruction:.2f}",
        f"{record['seconds']['total']:.0f} s",
    ]


def mean_row(records):
    def mean(key, unit=""):
        values = [record.get(key) for record in records]
        if None in values:
            return "-"
        return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}{unit}"

    return [
        "",
        "mean",
        percent(records[0]["paper_percent"]),
        mean("test_error_percent", " %"),
        mean("validation_error_percent", " %"),
        mean("reconstruction_error"),
        "",
    ]


def main():
    arguments = parse_arguments()
    reproduction = Reproduction(arguments)
    for seed in arguments.seeds:
        for row in arguments.rows:
            reproduction.run(row, seed)
    reproduction.report()


if __name__ == "__main__":
    sys.exit(main())
