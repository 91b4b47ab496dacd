"""What a few records and a study's runs are, and what commands do with them: for damaged ones."""

import json
from types import SimpleNamespace

import reproduce_mnist
from common.records import Results
from studies.report import report as study_report
from studies.runs import Runs
from studies.space import read_space
from tables.report import report

from tests.support.script_runs import ROOT

MEASURED = ROOT / "reference" / "measured"
STUDY = ROOT / "scripts" / "studies" / "mnist-16.toml"
_ALL = json.loads((MEASURED / "mnist.json").read_text())
RECORDS = _ALL[:3] + [record for record in _ALL if "curve" in record][:2]
_LINES = (MEASURED / "studies" / "mnist-16.jsonl").read_text().splitlines()
RUNS = [json.loads(line) for line in _LINES[:6]]
SPACE = read_space(STUDY)


def use_records(directory):
    """What a command of a table does with the records that are there."""
    results = Results(directory, resume=True)
    for record in results.records:
        results.find(*(record[key] for key in ("row", "seed", "data", "settings")))
    images = SimpleNamespace(name=RECORDS[0]["data"], source="made up")
    arguments = SimpleNamespace(output=directory, quick=False, pictures=False)
    report(reproduce_mnist.TABLE, results, images, arguments)


def use_runs(directory):
    """What a study does with the runs that are there."""
    records = SPACE.own(Runs(directory).finished().values())
    study_report(records, SPACE, directory, pictures=False)


#: {format: (its whole contents, what is done with the file in a directory)}.
USES = {"records": (RECORDS, use_records), "runs": (RUNS, use_runs)}
