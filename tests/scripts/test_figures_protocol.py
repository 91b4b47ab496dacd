"""What the figures of filters are learned from, measured on and made of: by stand-ins."""

from types import SimpleNamespace

import numpy as np
import pytest
from paper_figures import filters
from paper_figures.run import FigureRun

import minisca
from minisca.datasets import Dataset, StereoDataset
from tests.support.experiments import Layer, numbered, numbers


@pytest.fixture
def drawn(monkeypatch):
    """What the figures were made of: (path, what is shown, options) each."""
    found = []
    saves = ("save_filters", "save_feature_panels")
    noted = {
        name: lambda path, *shown, **options: found.append((path, shown, options)) for name in saves
    }
    monkeypatch.setattr(filters, "figures", SimpleNamespace(**noted))
    return found


@pytest.fixture
def run(tmp_path, notes):
    """A run whose layers are stand-ins; its CIFAR-10 is image 1 on, its digits are 1 to 10."""
    options = {"output": tmp_path, "images": None, "epochs": None, "quick": False, "seed": 2}
    options |= {"resume": False, "backend": "cpu"}
    run = FigureRun(SimpleNamespace(**options), pictures=True)

    def cifar(whitened, usual=None):
        run.asked = (whitened, usual)
        return "colours", (numbered(1, 2005), None), None

    def layer(**options):
        return Layer(notes, **{"random_state": 0} | options)

    run.cifar, run.layer = cifar, layer
    digits = Dataset(numbered(1, 10), None, numbered(101, 3), None, "digits", "here")
    run.mnist = digits
    return run


@pytest.mark.parametrize("name", filters.CONVOLUTIONAL)
def test_a_figure_has_the_decoder_filters_of_a_layer_of_the_images_it_names(
    run, notes, drawn, name, tmp_path
):
    title, whitened, images, options = filters.CONVOLUTIONAL[name]
    filters.draw_convolutional_filters(run, name)
    assert run.asked == (whitened, images)
    ((layer, trained, path, resume),) = notes.of("train")
    assert trained == list(range(1, 2006))
    assert (path, resume) == (tmp_path / f"figure-{name}.npz", False)
    assert layer.options | filters.WIDE | options == layer.options
    ((picture, (shown,), described),) = drawn
    assert picture == tmp_path / f"figure-{name}.png"
    np.testing.assert_array_equal(shown, layer.decoder_filters_)
    (record,) = run.results(name).records
    counts = f"{record['deltas']} deltas, {record['repeated_filters']} repeated"
    assert described == {"title": f"{title}: of 1 filters {counts}"}
    assert record["reconstruction_error"] == np.mean(range(1, 2001))  # the first 2,000
    assert record["usage"] == [np.mean(range(1, 2001))]
    largest = np.square(layer.decoder_filters_).max() / np.square(layer.decoder_filters_).sum()
    assert record["delta_share"] == [pytest.approx(largest, abs=1e-4)]
    assert (record["data"], record["settings"]["train_images"]) == ("colours", 2005)


def test_with_resume_a_figures_layer_is_gone_on_with(run, notes, drawn):
    run.arguments.resume = True
    filters.draw_convolutional_filters(run, "1b")
    assert notes.of("train")[0][-1] is True


def test_figure_3_is_the_first_test_digit_through_two_layers(run, notes, drawn):
    filters.draw_digit(run, "3")
    (first, trained, *_), (second, above, *_) = notes.of("train")
    assert trained == above == list(range(1, 11))
    assert (first.options["n_maps"], second.options["n_maps"]) == (16, 128)
    ((path, (image, stack), _),) = drawn
    assert (path.name, numbers(image)) == ("figure-3.png", [101])
    assert stack.layers_ == [first, second]
    run.arguments.images = 4
    notes.calls.clear()
    filters.draw_digit(run, "3")
    assert [given for _, given, *_ in notes.of("train")] == [[1, 2, 3, 4]] * 2


def test_figure_5_is_first_of_raw_views_and_then_of_whitened_ones(run, notes, drawn):
    run.norb = lambda whitened: ("pairs", numbered(50 if whitened else 1, 3))
    filters.draw_raw_and_whitened(run, "5")
    assert [given for _, given, *_ in notes.of("train")] == [[1, 2, 3], [50, 51, 52]]
    found = {path.name: options["title"].partition(":")[0] for path, _, options in drawn}
    assert found == {"figure-5a-raw.png": "not whitened", "figure-5b-whitened.png": "whitened"}


def test_figure_1a_is_of_patches_of_whitened_images(run, drawn, monkeypatch):
    made = []

    class Model:
        filters_, loss_history_ = np.eye(4).reshape(4, 1, 2, 2), np.ones(1)

        def __init__(self, **options):
            made.append(options)

        def fit(self, patches):
            made.append(patches)

        def transform(self, patches):
            made.append(patches)
            return np.array([[1, 0, 2, 0], [3, 0, 0, 0]])

        def get_params(self):
            return made[0]

        def save(self, path):
            made.append(path)

    def draw(images, n, width, seed):
        assert (numbers(images)[:2], n, width, seed) == ([1, 2], 100_000, 9, 2)
        return np.arange(12_000)

    monkeypatch.setattr(filters, "KSparseAutoencoder", Model)
    monkeypatch.setattr(filters, "draw_patches", draw)
    filters.draw_patch_filters(run, "1a")
    options, learned, path, used = made
    assert run.asked[0] is True
    assert (options["random_state"], options["n_units"], len(learned)) == (2, 1000, 12_000)
    assert (path.name, len(used)) == ("figure-1a.npz", 10_000)
    (record,) = run.results("1a").records
    assert record["usage"] == [1, 0, 0.5, 0]
    np.testing.assert_array_equal(drawn[0][1][0], Model.filters_)


def test_a_row_that_is_recorded_is_measured_again_only_without_resume(run, tmp_path, notes):
    watch = SimpleNamespace(seconds={"train": 1.5, "encode": 2})

    def measure(figure, settings=1):
        given = (
            run.results("x"),
            "row",
            "data",
            {"a": settings},
            watch,
            lambda: {"figure": figure},
        )
        return run.measured(*given)

    run.arguments.resume = True
    first = measure(1)
    assert first["seconds"] == {"train": 1.5, "encode": 2, "total": 3.5}
    assert (first["seed"], first["settings"]) == (2, {"a": 1, "quick": False})
    assert measure(2)["figure"] == 1
    assert measure(3, settings=2)["figure"] == 3
    run.arguments.resume = False
    assert measure(4, settings=2)["figure"] == 4
    run.arguments.resume, run.arguments.seed = True, 5
    assert measure(5, settings=2)["figure"] == 5
    run.arguments.quick = True
    assert measure(6, settings=2)["figure"] == 6


def test_a_layer_has_the_runs_seed_and_backend(tmp_path):
    options = {"output": tmp_path, "seed": 7, "backend": "cpu", "epochs": None, "quick": False}
    run = FigureRun(SimpleNamespace(**options, images=None))
    found = run.layer(n_maps=3).get_params()
    assert (found["random_state"], found["backend"], found["n_maps"]) == (7, "cpu", 3)
    assert isinstance(run.layer(), minisca.SparseConvAutoencoder)
    assert (run.epochs(8), run.n_images(9)) == (8, 9)
    run.arguments.quick = True
    assert (run.epochs(8), run.n_images(9)) == (1, 400)
    run.arguments.epochs, run.arguments.images = 3, 5
    assert (run.epochs(8), run.n_images(9)) == (3, 5)


@pytest.mark.parametrize(
    ("names", "name"), [(["5"], "made"), (["1b", "5"], "pairs"), ([], "pairs")]
)
def test_a_label_is_small_norbs_where_its_figure_is_all_that_is_asked_for(monkeypatch, names, name):
    parts = {"images": np.zeros((2, 2, 6, 6), np.uint8), "labels": np.arange(2)}
    parts["info"] = np.zeros((2, 4), np.int32)
    halves = {f"{half}_{part}": parts[part] for half in ("train", "test") for part in parts}
    pairs = StereoDataset(**halves, name="pairs", source="here")
    monkeypatch.setattr(minisca.datasets, "load_norb", lambda given: pairs)
    arguments = SimpleNamespace(names=names, label="made", data_dir=None, output=".")
    assert FigureRun(arguments).norb_data.name == name
