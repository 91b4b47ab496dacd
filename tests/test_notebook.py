"""In a notebook, run by Jupyter: a bar that fills, pictures, and pages of layers."""

import re

import pytest

nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is missing")
pytest.importorskip("ipykernel", reason="Jupyter's kernel is missing")
nbformat = pytest.importorskip("nbformat", reason="nbformat is missing")

SETUP = """
from tests.support.layers import images, layer
import minisca
fitted = layer(verbose=True).fit(x := images())
"""
WITHOUT_WIDGETS = "import minisca.progress\nminisca.progress.find_spec = lambda name: None\n"


def run(*cells):
    """The outputs of every cell, once Jupyter has run them all."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    preprocessor = nbconvert.preprocessors.ExecutePreprocessor(timeout=300, kernel_name="python3")
    preprocessor.preprocess(made)
    return [cell.outputs for cell in made.cells], made.metadata


def test_fitting_shows_a_widget_that_is_full_in_the_end():
    pytest.importorskip("ipywidgets", reason="ipywidgets is missing")
    ((shown, *_), *_), metadata = run(SETUP)
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    (state,) = metadata["widgets"].values()
    values = [each["state"] for each in state["state"].values()]
    bars = [each for each in values if each.get("_model_name") == "FloatProgressModel"]
    (bar,) = (each for each in bars if each["max"] == 3 * 40)  # others are of short encodings
    assert (bar["value"], bar["bar_style"]) == (120, "success")
    text = " ".join(each["value"] for each in values if each.get("_model_name") == "HTMLModel")
    assert re.search(r"cpu, epoch 3/3: 100%.*left, .* images/s, loss=", text.replace("\u2007", " "))


def test_without_widgets_it_is_text_and_layers_and_plots_show_themselves():
    pytest.importorskip("matplotlib")
    outputs, _ = run(
        WITHOUT_WIDGETS + SETUP, "fitted", "minisca.Stack([fitted])", "fitted.plot_maps(x[0])"
    )
    texts, (page,), (stack,), (plot,) = outputs
    shown = "".join(each["text"] for each in texts if each["name"] == "stdout")
    assert "cpu, epoch 3/3: 100%" in shown
    assert not any("epoch" in each["text"] for each in texts if each["name"] == "stderr")
    assert "data:image/png;base64" in page["data"]["text/html"]
    assert "SparseConvAutoencoder" in page["data"]["text/plain"]
    assert "layer 1" in stack["data"]["text/html"]
    assert plot["metadata"]["image/png"]["width"] > 100
