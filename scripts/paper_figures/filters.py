"""The figures that show filters (1a, 1b, 2b, 2c, 4, 5), and a digit on its way through (3)."""

from common.pictures import as_stack
from common.records import Stopwatch
from paper_figures.filter_measures import describe

from minisca import figures
from minisca.baselines import KSparseAutoencoder, draw_patches

#: Training images whose survivors say which maps are alive, and that the loss is measured on.
MEASURED_IMAGES = 2000
#: Of layers on CIFAR-10. Its rate is what these figures were drawn with.
WIDE = {"filter_width": 9, "pool_width": 5, "pool_stride": 4, "learning_rate": 0.1}
DIGITS = {"filter_width": 7, "pool_width": 5, "pool_stride": 3}
FEW = {"n_maps": 16, "n_epochs": 30}
#: Figure: title, whether whitened, images at most, what the layer is.
CONVOLUTIONAL = {
    "1b": ("whitened", True, None, {"n_maps": 32, "n_epochs": 4}),
    "2b": ("no sparsity", True, 2000, FEW | {"sparsity": "none", "learning_rate": 0.0005}),
    "2c": ("winner-take-all", True, 2000, FEW),
    "4": ("not whitened", False, None, {"n_maps": 128, "n_epochs": 4}),
}


def draw_convolutional_filters(run, name):
    """Decoder filters of one layer, learned from CIFAR-10: Figures 1b, 2b, 2c and 4."""
    title, whitened, images, options = CONVOLUTIONAL[name]
    data, (train, _), _ = run.cifar(whitened, images)
    layer, record = train_layer(run, name, data, train, WIDE | options)
    save_filters(run, name, layer.decoder_filters_, title, record)


def draw_raw_and_whitened(run, name):
    """32 decoder filters each from raw and from whitened small NORB, side by side: Figure 5."""
    for part, whitened in (("a-raw", False), ("b-whitened", True)):
        data, train = run.norb(whitened)
        options = {"n_maps": 32, "filter_width": 9, "pool_width": 6, "pool_stride": 4}
        layer, record = train_layer(run, f"{name}{part}", data, train, options | {"n_epochs": 8})
        kind = "whitened" if whitened else "not whitened"
        save_filters(run, f"{name}{part}", layer.decoder_filters_, kind, record)


def draw_patch_filters(run, name):
    """Filters learned from patches in isolation: Figure 1a."""
    data, (train, _), _ = run.cifar(True)
    few = run.arguments.quick
    random = run.arguments.seed
    patches = draw_patches(train, 2000 if few else 100_000, WIDE["filter_width"], random)
    model = KSparseAutoencoder(
        n_units=100 if few else 1000,
        n_active_start=None if few else 200,
        n_epochs=run.epochs(20),
        random_state=random,
        backend=run.arguments.backend,
    )
    watch = Stopwatch()
    with watch("train"):
        model.fit(patches)
    model.save(run.path(name, "npz"))
    usage = (model.transform(patches[: 5 * MEASURED_IMAGES]) != 0).mean(axis=0)
    settings = {"model": model.get_params(), "train_patches": len(patches)}
    measured = {"losses": [model.loss_history_.tolist()]} | describe(model.filters_, usage)
    run_of = (run.results(name), f"figure-{name}", data, settings, watch)
    record = run.measured(*run_of, lambda: measured)
    save_filters(run, name, model.filters_, "from patches", record)


def draw_digit(run, name):
    """A digit through 16 maps and 128 on top of them: Figure 3."""
    data = run.mnist
    n = run.n_images(len(data.train_images))
    first, _ = train_layer(
        run, name, data.name, data.train_images[:n], {"n_maps": 16, **DIGITS, "n_epochs": 15}
    )
    below = data.train_images[: min(n, 20_000)]
    options = {"n_maps": 128, "filter_width": 5, "pool_width": 3, "pool_stride": 2, "n_epochs": 2}
    second, _ = train_layer(run, f"{name}-second", data.name, first.transform(below), options)
    run.draw(figures.save_feature_panels, name, data.test_images[0], as_stack([first, second]))


def train_layer(run, name, data, images, options):
    """Train the layer of a figure, or go on with it; write its record. Returns both."""
    layer = run.layer(**options | {"n_epochs": run.epochs(options["n_epochs"])})
    watch = Stopwatch()
    with watch("train"):
        layer.fit(images, checkpoint=run.path(name, "npz"), resume=run.arguments.resume)
    seen = images[:MEASURED_IMAGES]
    settings = {"layers": [layer.get_params(deep=False)], "train_images": len(images)}

    def measure():
        measured = describe(layer.decoder_filters_, layer.usage(seen))
        measured["reconstruction_error"] = -layer.score(seen)
        return measured | {"losses": [layer.loss_history_]}

    row = f"figure-{name}"
    return layer, run.measured(run.results(name), row, data, settings, watch, measure)


def save_filters(run, name, filters, title, record):
    counts = f"{record['deltas']} deltas, {record['repeated_filters']} repeated"
    title = f"{title}: of {len(filters)} filters {counts}"
    run.draw(figures.save_filters, name, filters, title=title)
