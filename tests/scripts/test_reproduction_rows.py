"""The rows that the scripts train are the ones that the paper describes."""

import tomllib

import numpy as np
import pytest
import reproduce_cifar10
import reproduce_mnist
import reproduce_norb
from common.records import published
from features.files import feature_shape
from tables.layer_files import file_name
from tables.report import results_table
from tables.rows import planned

import minisca
from tests.support.script_runs import ROOT

SCRIPTS = {"mnist": reproduce_mnist, "cifar": reproduce_cifar10, "norb": reproduce_norb}
#: Channels and side of the images, and how many of them make a row of features.
INPUTS = {"mnist": (1, 28, 1), "cifar": (3, 32, 1), "norb": (1, 32, 2)}

EXPERIMENTS = tomllib.loads((ROOT / "reference" / "paper.toml").read_text())["experiments"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_maps_filters_and_pooling_are_the_papers_and_so_are_the_features(name):
    experiment = EXPERIMENTS[name]
    data, _, row = name.partition("-")
    channels, side, views = INPUTS[data]
    features = np.zeros((1, channels, side, side))
    for options, described in zip(
        SCRIPTS[data].ROWS[row].layers, experiment["layers"], strict=True
    ):
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


def mnist_row(monkeypatch, row, *options):
    """The row that reproduce_mnist.py makes of these arguments, and they."""
    monkeypatch.setattr("sys.argv", ["", "--rows", row, *options])
    arguments = reproduce_mnist.parse_arguments()
    (chosen,) = reproduce_mnist.chosen_rows(arguments)[row]
    return planned(chosen, 0, 512, arguments)


def test_lifetime_sparsity_is_the_last_layers_and_the_layers_below_are_the_plain_rows(monkeypatch):
    plain = mnist_row(monkeypatch, "deep").layers
    sparse = mnist_row(monkeypatch, "deep", "--lifetime", "0.2").layers
    assert sparse == (plain[0], plain[1] | {"lifetime": 0.2})
    layers = [minisca.SparseConvAutoencoder(**options) for options in sparse]
    assert file_name(layers[:1], "none") == "128-width7-seed0.npz"
    assert file_name(layers, "none") == "128-2048-width5-seed0-lifetime-0.2.npz"


@pytest.mark.parametrize(
    ("option", "value", "ending"),
    [("encoding_contrast", 0.3, "-contrast-0.3"), ("pool_origin", "corner", "-corner")],
)
def test_how_features_are_made_is_all_layers_and_trains_none_but_those_above(
    monkeypatch, option, value, ending
):
    plain = mnist_row(monkeypatch, "deep")
    other = mnist_row(monkeypatch, "deep", f"--{option.replace('_', '-')}", str(value))
    assert other.layers == tuple(layer | {option: value} for layer in plain.layers)
    assert other.variant == ending
    layers = [minisca.SparseConvAutoencoder(**options) for options in other.layers]
    assert file_name(layers[:1], "none") == "128-width7-seed0.npz"
    assert file_name(layers, "none") == f"128-2048-width5-seed0{ending}.npz"


@pytest.mark.parametrize("bad", ["0", "-1", "inf", "nan"])
def test_an_encoding_contrast_out_of_range_is_refused(monkeypatch, capsys, bad):
    with pytest.raises(SystemExit):
        mnist_row(monkeypatch, "16", f"--encoding-contrast={bad}")
    assert "--encoding-contrast is" in capsys.readouterr().err


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
    monkeypatch, row, options, scaling, variant
):
    found = mnist_row(monkeypatch, row, *options)
    assert found.settings(60_000, quick=False).get("feature_scaling") == scaling
    assert found.variant == variant


def test_the_table_has_the_papers_figure_and_the_mean_of_several_seeds():
    seconds = {"total": 61.4}
    records = [
        {"row": "norb-128", "seed": seed, "test_error_percent": error, "paper_percent": 2.53}
        | {"validation_error_percent": None, "seconds": seconds}
        for seed, error in ((0, 3.0), (1, 4.0))
    ]
    other = records[0] | {"row": "norb-128-raw", "paper_percent": None}
    header, rows = results_table(reproduce_norb.TABLE, [other, *records])
    assert header == ["row", "seed", "paper", "test error", "validation error", "time"]
    assert rows == [
        ["norb-128", "0", "2.53 %", "3.00 %", "-", "61 s"],
        ["norb-128", "1", "2.53 %", "4.00 %", "-", "61 s"],
        ["", "mean", "2.53 %", "3.50 ± 0.71 %", "-", ""],
        ["norb-128-raw", "0", "-", "3.00 %", "-", "61 s"],
    ]


def test_only_the_original_whitened_is_set_beside_the_paper():
    table = reproduce_cifar10.TABLE
    assert table.comparable("CIFAR-10", quick=False)
    assert not table.comparable("CIFAR-10", quick=True)
    assert not table.comparable("CIFAR-10, JPEG", quick=False)
    assert published("cifar-512") == 72.7
    assert published("cifar-512-raw") is None
