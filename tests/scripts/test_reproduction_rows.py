"""The rows that the scripts train are the ones that the paper describes."""

import tomllib

import numpy as np
import pytest

import minisca
from tests.support.script_runs import ROOT, import_script

SCRIPTS = {"mnist": "reproduce_mnist", "cifar": "reproduce_cifar10", "norb": "reproduce_norb"}
#: Channels and side of the images, and how many of them make a row of features.
INPUTS = {"mnist": (1, 28, 1), "cifar": (3, 32, 1), "norb": (1, 32, 2)}

EXPERIMENTS = tomllib.loads((ROOT / "reference" / "paper.toml").read_text())["experiments"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_maps_filters_and_pooling_are_the_papers_and_so_are_the_features(monkeypatch, name):
    experiment = EXPERIMENTS[name]
    data, _, row = name.partition("-")
    rows = import_script(monkeypatch, SCRIPTS[data]).ROWS
    feature_shape = import_script(monkeypatch, "tables.run").feature_shape
    channels, side, views = INPUTS[data]
    features = np.zeros((1, channels, side, side))
    for options, described in zip(rows[row]["layers"], experiment["layers"], strict=True):
        layer = minisca.SparseConvAutoencoder(**options)
        assert layer.n_maps == described["maps"]
        assert layer.filter_width == described["filter_width"]
        assert layer.pool_width == described["pool_width"]
        assert layer.pool_stride == described["pool_stride"]
        features = np.zeros(feature_shape(layer, features))
    expected = experiment["features"] if views == 1 else experiment["features"][1:]
    assert list(features.shape[1:]) == expected
    if views > 1:
        assert experiment["features"][0] == views


def mnist_run(monkeypatch, tmp_path, *options):
    """The run that reproduce_mnist.py makes of these arguments, nothing run yet."""
    script = import_script(monkeypatch, "reproduce_mnist")
    monkeypatch.setattr("sys.argv", ["", *options, "--output", str(tmp_path)])
    return script.MNISTReproduction(script.parse_arguments(), minisca.datasets.load_mnist_sample())


def test_lifetime_sparsity_is_the_last_layers_and_the_layers_below_are_the_plain_rows(
    monkeypatch, tmp_path
):
    layers, files = {}, {}
    for options in ((), ("--lifetime", "0.2")):
        run = mnist_run(monkeypatch, tmp_path, *options)
        layers[bool(options)] = run.settings("deep", 0)["layers"]
        files[bool(options)] = [
            run.layer_variant(minisca.SparseConvAutoencoder(**layer))
            for layer in layers[bool(options)]
        ]
    assert layers[True] == [layers[False][0], layers[False][1] | {"lifetime": 0.2}]
    assert files == {False: ["", ""], True: ["", "-lifetime-0.2"]}


@pytest.mark.parametrize(
    ("row", "options", "scaling", "variant"),
    [
        ("deep", (), None, ""),
        ("deep-7x7", (), "per-image", ""),
        ("deep-7x7", ("--feature-scaling", "root"), "root", "-root"),
        ("deep-7x7", ("--feature-scaling", "none"), None, "-unscaled"),
    ],
)
def test_features_are_scaled_as_the_row_says_unless_the_command_says_otherwise(
    monkeypatch, tmp_path, row, options, scaling, variant
):
    run = mnist_run(monkeypatch, tmp_path, *options)
    assert run.settings(row, 0).get("feature_scaling") == scaling
    assert run.variant == variant
