"""Records: a run that was measured is found again, whatever settings have come since."""

import copy
import json

import pytest

import minisca
from tests.support.script_runs import ROOT, import_script

MEASURED = ROOT / "reference" / "measured"
#: Files of records of layers, of which what was measured long ago lacks later settings.
FILES = ("mnist.json", "cifar10.json", "sparsity.json", "figures.json")


@pytest.fixture
def records_module(monkeypatch):
    return import_script(monkeypatch, "common.records")


def of_today(settings):
    """The settings as a script of today has them, its layers' with all that there are."""
    layers = [minisca.SparseConvAutoencoder(**layer).get_params() for layer in settings["layers"]]
    return settings | {"layers": layers}


def of_layers(records):
    return [record for record in records if "layers" in record["settings"]]


@pytest.mark.parametrize("name", FILES)
def test_what_was_measured_is_found_with_todays_settings(records_module, name):
    results = records_module.Results(MEASURED, resume=True, name=name)
    assert of_layers(results.records)
    for record in of_layers(results.records):
        found = [record[key] for key in ("row", "seed", "data")]
        assert results.find(*found, of_today(record["settings"])) is record


@pytest.mark.parametrize(
    "other",
    [{"schedule": "cosine"}, {"init_bias": 0.5}, {"normalise_filters": True}, {"n_epochs": 3}],
    ids=str,
)
def test_with_another_setting_than_the_default_that_it_lacks_it_is_another_run(
    records_module, other
):
    results = records_module.Results(MEASURED, resume=True, name="mnist.json")
    (record, *_) = of_layers(results.records)
    wanted = of_today(record["settings"])
    wanted["layers"][0] |= other
    assert results.find(record["row"], record["seed"], record["data"], wanted) is None


def test_settings_are_the_same_only_if_nothing_else_is_missing_or_more(records_module):
    wanted = {"layers": [minisca.SparseConvAutoencoder(4).get_params()], "quick": False}
    wanted = json.loads(json.dumps(wanted))
    assert records_module.same_settings(wanted, copy.deepcopy(wanted))
    for change in (
        lambda recorded: recorded.pop("quick"),
        lambda recorded: recorded.update(images=3),
        lambda recorded: recorded["layers"].pop(),
        lambda recorded: recorded["layers"][0].update(colour="red"),
        lambda recorded: recorded["layers"][0].pop("n_maps"),  # 4 is not the default
        lambda recorded: recorded.update(layers=None),
    ):
        recorded = copy.deepcopy(wanted)
        change(recorded)
        assert not records_module.same_settings(wanted, recorded)
