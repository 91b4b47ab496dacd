"""What tests of the scripts share: run one as a user does, or in this process; read its records."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What every record of a run must have.
FIELDS = {
    *("row", "seed", "test_error_percent", "validation_error_percent", "paper_percent", "data"),
    *("settings", "seconds", "losses", "versions", "machine", "command"),
}

#: Runs a script where some packages seem not to be installed.
WITHOUT = """
import runpy, sys
names, path, *arguments = sys.argv[1:]
sys.modules.update(dict.fromkeys(names.split()))
sys.argv = [path, *arguments]
sys.path.insert(0, "scripts")
runpy.run_path(path, run_name="__main__")
"""


def run_script(name, *arguments, without=""):
    """Run scripts/<name> with the given arguments; returns the finished process.

    without: packages that it is not to find, with spaces between.
    """
    runner = ["-c", WITHOUT, without] if without else []
    return subprocess.run(
        [sys.executable, *runner, f"scripts/{name}", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"MINISCA_DATA": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )


def run_here(script, *arguments):
    """Run the main() of a module of scripts/ in this process; returns what it printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr("sys.argv", [f"{script.__name__}.py", *map(str, arguments)])
        patch.setenv("MINISCA_DATA", "")
        script.main()
    return printed.getvalue()


def refusal(script, *arguments):
    """What a script says that ends before it does anything."""
    said = io.StringIO()
    with redirect_stderr(said), pytest.raises(SystemExit) as caught:
        run_here(script, *arguments)
    assert caught.value.code not in (0, None)
    return f"{said.getvalue()}{caught.value}"


def read_records(output):
    """The records that a run left, each with all its fields and finite losses."""
    records = json.loads((output / "results.json").read_text())
    for record in records:
        assert set(record) >= FIELDS
        assert all(np.isfinite(loss) for losses in record["losses"] for loss in losses)
    return records
