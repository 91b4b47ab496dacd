"""What the commands draw: which filters, which images, whose labels, where."""

from types import SimpleNamespace

import numpy as np
import pytest
from tables import pictures
from tables.rows import Row

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
