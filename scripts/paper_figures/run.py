"""What figures and comparisons share: images, loaded when they are asked for; files; records."""

from functools import cache, cached_property
from pathlib import Path

from common.records import Results, environment
from reproduce_norb import arranged
from tables.images import ZCA_EPSILON, labelled

import minisca
from minisca.chunks import spread
from minisca.preprocessing import ZCA, contrast_normalise

#: Training images of a --quick run.
QUICK_IMAGES = 400


class FigureRun:
    """One run of a command, with or without its pictures."""

    def __init__(self, arguments, pictures=False):
        self.arguments = arguments
        self.pictures = pictures
        self.whitener = None
        self.output = Path(arguments.output)
        self.cifar = cache(self._cifar)

    def path(self, name, ending):
        return self.output / f"figure-{name}.{ending}"

    def draw(self, function, name, *shown, **options):
        """Call function(path of the picture, *shown, **options), unless there are no pictures."""
        if self.pictures:
            function(self.path(name, "png"), *shown, **options)

    def results(self, name):
        """The records of a figure; those that are there already, whatever was asked for."""
        return Results(self.output, self.arguments.resume, f"figure-{name}.json")

    def epochs(self, usual):
        return self.arguments.epochs or (1 if self.arguments.quick else usual)

    def layer(self, **options):
        """A layer with this run's seed and backend, not trained yet."""
        options = {"random_state": self.arguments.seed, "backend": self.arguments.backend} | options
        return minisca.SparseConvAutoencoder(**options)

    def measured(self, results, row, data, settings, watch, measure):
        """The record of a row: that of an earlier run, or made now of what measure() returns.

        data, settings: what it was measured on, and what decides the outcome, in plain values.
        watch: the Stopwatch that has its seconds when measure() has returned.
        """
        settings = settings | {"quick": self.arguments.quick}
        run = {"row": row, "seed": self.arguments.seed, "data": data, "settings": settings}
        found = results.find(**run)
        if found is None:
            figures = ("test_error_percent", "validation_error_percent", "paper_percent")
            found = {**run, **dict.fromkeys(figures), **measure()}
            found["seconds"] = watch.seconds | {"total": round(sum(watch.seconds.values()), 2)}
            results.add(found | environment())
            found = results.records[-1]
        return found

    # images -------------------------------------------------------------------------------

    def n_images(self, usual):
        return self.arguments.images or (QUICK_IMAGES if self.arguments.quick else usual)

    def _cifar(self, whitened, usual=None):
        """CIFAR-10: its name, (images, labels) to learn from, (images, labels) to validate on.

        Contrast-normalised, and `whitened` by the statistics of all training images but those to
        validate on: whitening learned from few images leaves others with far more energy. usual:
        so many to learn from at most, unless --images or --quick says another number.
        """
        data = self.cifar_data
        train, validation = data.validation_split()
        n = min(self.n_images(usual or len(train[0])), len(train[0]))
        images, checked = map(self._normalised, (train[0], validation[0]))
        if whitened:
            self.whitener = self.whitener or ZCA(ZCA_EPSILON).fit(images)
            images, checked = map(self.whitener.transform, (images[:n], checked))
        return data.name, (images[:n], train[1][:n]), (checked, validation[1])

    def _normalised(self, images):
        """Contrast-normalised; with --quick a quarter of the pixels, which whiten in no time."""
        step = 2 if self.arguments.quick else 1
        return contrast_normalise(images[:, :, ::step, ::step])

    @cached_property
    def cifar_data(self):
        data = minisca.datasets.load_cifar10(self.arguments.data_dir)
        return labelled(data, self.arguments.label, "CIFAR-10")

    @cached_property
    def mnist(self):
        return minisca.datasets.load_mnist(self.arguments.data_dir)

    @cached_property
    def norb_data(self):
        label = self.arguments.label if self.arguments.names == ["5"] else None
        data = minisca.datasets.load_norb(self.arguments.data_dir)
        return arranged(labelled(data, label, "small NORB"), quick=False)

    def norb(self, whitened):
        """Small NORB: its name, training views one by one, of every category."""
        data = self.norb_data
        views = data.train_images.reshape(-1, 1, *data.train_images.shape[2:])
        views = self._normalised(views[spread(len(views), self.n_images(len(views)))])
        return data.name, ZCA(ZCA_EPSILON).fit_transform(views) if whitened else views
