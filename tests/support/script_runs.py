"""What tests of the reproduction scripts share: run one as a user does, or import its modules."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]

#: What every record of a run must have.
FIELDS = {
    "row",
    "seed",
    "test_error_percent",
    "validation_error_percent",
    "paper_percent",
    "data",
    "settings",
    "seconds",
    "losses",
    "versions",
    "machine",
    "command",
}


def run_script(name, *arguments):
    """Run scripts/<name> with the given arguments; returns the finished process."""
    return subprocess.run(
        [sys.executable, f"scripts/{name}", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"MINISCA_DATA": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )


def import_script(monkeypatch, name):
    """A module of scripts/, imported as it is when a script runs."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module(name)


def read_records(output):
    """The records that a run left, each with all its fields and finite losses."""
    records = json.loads((output / "results.json").read_text())
    for record in records:
        assert set(record) >= FIELDS
        assert all(np.isfinite(loss) for losses in record["losses"] for loss in losses)
    return records
