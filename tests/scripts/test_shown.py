"""What the commands draw: which filters, which images, whose labels, where."""

from types import SimpleNamespace

import numpy as np
import pytest
from bench import growth
from paper_figures import accuracy
from paper_figures.sparsity_picture import captions, draw_variants
from studies.picture import draw_effects
from tables import few_labels, pictures
from tables.report import row_sections
from tables.rows import Row

from minisca.figures import filter_grid
from minisca.figures.page import zoom_to
from tests.support.experiments import (
    ONE,
    TEST,
    TWO,
    Classifier,
    Layer,
    command,
    made_images,
    measured,
    numbers,
)
from tests.support.pixels import box, keep_pages, shown, texts

# Pictures -------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """{picture: what it was made of}: figures that note what they are given."""
    found = {}

    def noted(name):
        def save(path, *shown, **options):
            found[path.stem] = (name, *shown, options)

        return save

    names = ("filters", "reconstructions", "feature_panels", "curves", "confusion_matrix")
    saves = {f"save_{name}": noted(name) for name in (*names, "misclassified")}
    saves["project_filters"] = lambda stack, index: np.full((300, 1, 3, 3), index)
    monkeypatch.setattr(pictures, "figures", SimpleNamespace(**saves))
    return found


def test_pictures_show_test_images_what_is_made_of_them_and_how_they_were_labelled(
    notes, tmp_path, drawn
):
    data = made_images()._replace(class_names=("even", "odd"))
    rows = {"16": Row(layers=ONE, classifier=Classifier(notes, wrong=(8, 102)))}
    measured(rows, command(tmp_path, pictures=True), data)
    layer = Layer(notes)
    for kind in ("encoder", "decoder"):
        name, filters, options = drawn[f"16-{kind}-filters"]
        np.testing.assert_array_equal(filters, getattr(layer, f"{kind}_filters_"))
        assert (name, options) == ("filters", {"title": f"{kind} filters"})
    name, originals, rebuilt, _ = drawn["16-reconstructions"]
    assert numbers(originals) == TEST
    np.testing.assert_array_equal(rebuilt, -originals)
    name, image, stack, _ = drawn["16-figure3"]
    assert (name, numbers(image), len(stack.layers_)) == ("feature_panels", [101], 1)
    name, true, predicted, names, _ = drawn["16-confusion"]
    assert (list(true), list(predicted), names) == ([0, 1, 0, 1], [0, 0, 0, 1], ("even", "odd"))
    name, shown, true, predicted, _ = drawn["16-misclassified"]
    assert numbers(shown) == [201, 202, 203, 204]
    assert list(true) == ["even", "odd", "even", "odd"]
    assert list(predicted) == ["even", "even", "even", "odd"]


def test_of_two_layers_the_second_is_projected_and_the_first_seeds_are_drawn(
    notes, tmp_path, drawn
):
    rows = {"deep": Row(layers=TWO, classifier=Classifier(notes))}
    measured(rows, command(tmp_path, pictures=True, seeds=[4, 6]))
    _, projected, _ = drawn["deep-projected-filters"]
    assert (projected.shape[0], projected.max()) == (256, 1)
    _, curves, options = drawn["deep-loss"]
    assert curves == {"layer 1": [4.0], "layer 2": [4.0]}
    assert options["log"] is True
    assert not {"deep-encoder-filters", "deep-reconstructions"} & set(drawn)
    assert drawn["deep-figure3"][2].layers_[0].random_state == 4


# What scripts draw themselves -----------------------------------------------------------------


def test_every_rules_decoder_filters_stand_under_its_name_four_a_row(tmp_path, monkeypatch):
    layers, rng = {f"rule {n}": Layer(None) for n in range(6)}, np.random.default_rng(0)
    for layer in layers.values():
        layer.encoder_filters_, layer.decoder_filters_ = rng.standard_normal((2, 5, 1, 3, 3))
    names = ("validation_error_percent", "reconstruction_error", "repeated_filters")
    names += ("median_delta_share", "median_sharpness", "median_steepness")
    records = {
        rule: {
            "usage": [0.5] * 5,
            "dead_maps": n,
            **{name: n + k / 8 for k, name in enumerate(names)},
        }
        for n, rule in enumerate(layers)
    }
    kept = keep_pages(monkeypatch)
    draw_variants(tmp_path / "v.png", records, layers)
    (page,) = kept
    boxes = [box(page, axes) for axes in page.figure.axes]
    written = texts(page)
    for n, (rule, axes, (left, top, _, bottom)) in enumerate(
        zip(layers, page.figure.axes, boxes, strict=True)
    ):
        zoom = zoom_to(520, 3, 3, 4)
        grid = filter_grid(layers[rule].decoder_filters_, border=4, zoom=zoom)
        np.testing.assert_array_equal(shown(axes)[..., 0], np.rint(255 * grid) / 255)
        assert (left, top) == (boxes[n % 4][0], boxes[n // 4 * 4][1])
        x, y = written[rule]
        assert x == pytest.approx(left)
        assert top - 70 < y < top
        lines = captions(records[rule])
        assert lines[0] == f"validation error {n:.2f} %, reconstruction {n + 1 / 8:.2f}"
        assert lines[1] == f"{n} of 5 maps dead, {n + 2 / 8:.3g} repeated"
        shares = [f"{n + k / 8:.2f}" for k in (3, 4, 5)]
        assert lines[2] == "delta share {}, sharpness {}, steepness {}".format(*shares)
        assert bottom < written[lines[0]][1] < written[lines[1]][1] < written[lines[2]][1]
    assert boxes[0][0] < boxes[1][0]
    assert boxes[0][1] < boxes[4][1]


def test_an_effect_is_a_dot_at_its_difference_hollow_where_it_is_the_reference(monkeypatch):
    kept, names = keep_pages(monkeypatch), ("setting", "value", "difference", "standard_error")
    effects = [("rate", 0.1, 0.0, None), ("rate", None, -0.5, 0.25), ("maps", 4, 0.75, 0.125)]
    effects = [dict(zip(names, effect, strict=True)) for effect in effects]
    effects.insert(1, dict(effects[1], difference=None))  # could not be told: it is left out
    for effect in effects:
        effect["reference"] = effect["difference"] == 0
    draw_effects("e.png", effects, 0.3, "title", "error")
    (page,) = kept
    (axes,) = page.figure.axes
    dots = [container.lines[0] for container in axes.containers]
    assert [dot.get_xydata().tolist() for dot in dots] == [[[0, 0]], [[-0.5, 1]], [[0.75, 2]]]
    hollow = [dot.get_markerfacecolor() == "white" for dot in dots]
    assert hollow == [True, False, False]
    colours = [dot.get_color() for dot in dots]
    assert colours[0] == colours[1] != colours[2]
    for container, error in zip(axes.containers[1:], (0.25, 0.125), strict=True):
        ((one, other),) = container.lines[2][0].get_segments()
        assert (other - one)[0] == pytest.approx(2 * error)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["rate = 0.1", "rate = off", "maps = 4"]
    assert axes.yaxis_inverted()
    (spread,) = axes.patches
    assert (spread.get_x(), spread.get_width()) == pytest.approx((-0.3, 0.6))
    assert axes.get_xlabel() == "difference of the error from the reference's"


def test_the_growth_of_a_step_is_in_microseconds_an_image_beside_floor_and_peer(monkeypatch):
    kept = keep_pages(monkeypatch)
    points = [
        {"at": at, "batch": 10, "floor_seconds": at / 1000, "median_seconds": {"minisca": at / 100}}
        for at in (4, 8)
    ]
    points[0]["median_seconds"]["pytorch"] = 0.5
    growth.draw_growth("g.png", {"axes": {name: {"points": points} for name in growth.AXES}})
    (page,) = kept
    corners = [box(page, axes)[:2] for axes in page.figure.axes]
    assert corners[0][0] == corners[3][0] < corners[1][0]
    assert corners[0][1] == corners[2][1] < corners[3][1]
    for axes, (name, _, _) in zip(page.figure.axes, growth.AXES.values(), strict=True):
        assert axes.get_xlabel() == name
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        assert lines["PyTorch"] == [[4, pytest.approx(5e4)]]
        assert lines["minisca"] == [[4, pytest.approx(4e3)], [8, pytest.approx(8e3)]]
        assert lines["floor"] == [[4, pytest.approx(400)], [8, pytest.approx(800)]]


def test_accuracies_are_drawn_against_maps_whitened_first_and_named_as_validation(monkeypatch):
    given = []
    saves = SimpleNamespace(save_curves=lambda *shown, **options: given.append((*shown, options)))
    monkeypatch.setattr(accuracy, "figures", saves)
    curves = {("k-means", "raw"): {16: 3.0}, ("winner-take-all", "whitened"): {16: 2.0, 4: 1.0}}
    accuracy.draw("a.png", accuracy.labelled(curves))
    ((path, lines, options),) = given
    first, second = lines.items()
    assert first == ("winner-take-all, whitened", [(4, 16), (1.0, 2.0)])
    assert second == ("triangle k-means, raw", [(16,), (3.0,)])
    assert path == "a.png"
    assert (options["xlabel"], options["ylabel"]) == ("feature maps", "validation accuracy, %")
    assert options["n_colours"] == 3


def test_errors_by_labels_are_means_over_draws_of_every_seed(monkeypatch):
    given = []
    monkeypatch.setattr(few_labels, "save_curves", lambda *shown, **options: given.append(shown))
    records = [
        {
            "row": "mnist-few-labels-pca",
            "curve": [{"labels_per_class": n, "test_errors_percent": errors}],
        }
        for n, errors in ((10, [1.0, 2.0]), (30, [5.0]), (10, [6.0]))
    ]
    few_labels.draw_curves("c.png", records)
    assert given == [("c.png", {"pca": ([10, 30], [3.0, 5.0])})]


def test_a_row_shows_its_own_pictures_and_its_first_seeds_settings(tmp_path):
    """The name of one may be the start of another's."""
    for name in ("16-loss", "16-logistic-loss", "128-loss"):
        (tmp_path / f"{name}.png").touch()
    common = {"versions": 1, "machine": 2, "command": 3}
    records = [
        {"row": f"mnist-{row}", "settings": {"layers": [seed, 9], "l2": seed}} | common
        for seed in (5, 6)
        for row in ("16", "16-logistic", "128")
    ]
    sections = list(row_sections("mnist", records, tmp_path))
    found = {section.heading: [name for name, _ in section.pictures] for section in sections}
    assert found == {
        "Row 16": ["16-loss"],
        "Row 16-logistic": ["16-logistic-loss"],
        "Row 128": ["128-loss"],
    }
    assert sections[0].settings == {"layer 1": 5, "layer 2": 9, "l2": 5, **common}
