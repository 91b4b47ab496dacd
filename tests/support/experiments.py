"""Stand-ins of layers, classifiers and the clock, which note what an experiment gives them.

Image number i of a data set is i everywhere, and what a stand-in layer makes of it too, so a note
says which images it was. Every call takes as many seconds of the clock as `SECONDS` says.
"""

from types import SimpleNamespace

import numpy as np
from common import records
from tables.images import Images
from tables.rows import Table
from tables.run import run_table

#: Of a call, all different sums: what a phase adds up to says which calls it had.
SECONDS = {"train": 1000, "encode": 1, "fit": 100, "classify": 0.01, "score": 7}
#: Layers of a row: one, and two; the numbers of the test images.
ONE, TWO = ({"n_maps": 16},), ({"n_maps": 16}, {"n_maps": 32})
TEST = list(range(101, 105))


def command(output, **options):
    """The arguments of a command that reproduces a table."""
    arguments = {"output": str(output), "seeds": [0], "resume": False, "quick": False}
    arguments |= {"pictures": False, "epochs": None, "deep_epochs": None, "backend": "cpu"}
    return SimpleNamespace(**arguments | options)


def table(rows):
    return Table("mnist", "MNIST", rows, large_in_files=False)


def measured(rows, arguments, data=None):
    """The records of a command with these rows, by row and seed."""
    plain = {name: row[0] if isinstance(row, list) else row for name, row in rows.items()}
    results = run_table(table(plain), rows, data or made_images(), arguments)
    return {(r["row"].removeprefix("mnist-"), r["seed"]): r for r in results.records}


def numbered(first, n, channels=1, side=4):
    """Images (n, c, side, side), the first of which is `first` everywhere, the next one more."""
    images = np.empty((n, channels, side, side), np.float32)
    images[:] = np.arange(first, first + n)[:, None, None, None]
    return images


def numbers(images):
    """Which images they are, or features of them: the shifts of an image have its number too."""
    return [int(row.max()) for row in np.asarray(images).reshape(len(images), -1)]


def made_images(name="MNIST", views=1, n_train=8, n_fit=6, n_test=4):
    """Training images 1 to 8 and test images 101 to 104, twice as many of two views; labels."""
    return Images(
        name=name,
        source="here",
        train=numbered(1, views * n_train),
        train_labels=np.arange(n_train) % 2,
        n_fit=n_fit,
        test=numbered(101, views * n_test),
        test_labels=np.arange(n_test) % 2,
        shown=numbered(201, n_test),
        views=views,
    )


class Notes:
    """What was called with what, in order: `calls`; the clock that the calls let run."""

    def __init__(self, monkeypatch):
        self.calls = []
        self.now = 0.0
        monkeypatch.setattr(records, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def add(self, kind, *what):
        self.calls.append((kind, *what))
        self.now += SECONDS[kind]

    def of(self, kind):
        """What the calls of a kind were given."""
        return [what for name, *what in self.calls if name == kind]


class Layer:
    """A stand-in of a layer; its features are the images and a sixteenth of its seed."""

    pool_stride, backend_, n_channels_ = 1, "cpu", 1

    def __init__(self, notes, **options):
        self.notes, self.options = notes, options
        self.__dict__ |= options
        self.n_maps = 1  # of its features
        self.loss_history_ = [float(options.get("random_state", 0))]
        filters = np.arange(9.0).reshape(1, 1, 3, 3)
        self.encoder_filters_, self.decoder_filters_ = filters, -filters

    def get_params(self, deep=True):
        return dict(self.options)

    def set_params(self, **options):
        self.options |= options
        return self

    def fit(self, images, checkpoint=None, resume=False):
        self.notes.add("train", self, numbers(images), checkpoint, resume)
        return self

    def transform(self, images, out=None):
        self.notes.add("encode", numbers(images))
        return images + np.float32(self.options.get("random_state", 0) / 16)

    feature_maps = transform

    def score(self, images):
        self.notes.add("score", numbers(images))
        return -float(np.mean(images))

    def usage(self, images):
        return np.full(1, np.mean(images))

    def reconstruct(self, images):
        return -np.asarray(images)


class Classifier:
    """A stand-in of a classifier, which predicts 1 for odd numbers but of the images `wrong`."""

    def __init__(self, notes, wrong=(), **options):
        self.notes, self.wrong, self.options = notes, wrong, options
        self.classes_ = np.array([0, 1])
        self.fitted = []

    def get_params(self, deep=True):
        return dict(self.options)

    def fit(self, features, labels, validation=None, **options):
        held_out = () if validation is None else (numbers(validation[0]), list(validation[1]))
        self.notes.add("fit", numbers(features), list(labels), *held_out)
        self.fitted.append(np.asarray(features))
        return self

    def decision_function(self, features):
        found = numbers(features)
        self.notes.add("classify", found)
        codes = np.array([(number + 1) % 2 for number in found])
        return np.where(np.isin(found, self.wrong), 1 - codes, codes) - 0.5

    def score(self, features, labels):
        return float(np.mean((self.decision_function(features) > 0) == labels))

    def save(self, path):
        pass
