"""MNIST's rows from the images to the test error, on a device: `reproduce_mnist.py` by itself."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.children import SCRIPTS, script_environment
from common.records import print_rows

ROWS = ("16", "128", "deep")


def measure_mnist(bench, machine):
    """The records of the rows."""
    with tempfile.TemporaryDirectory(prefix="minisca-mnist-") as output:
        command = [sys.executable, SCRIPTS / "reproduce_mnist.py", "--backend", machine.name]
        command += ["--rows", *ROWS, "--output", output]
        command += ["--quick"] * bench.tiny
        command += ["--data-dir", bench.data_dir] if bench.data_dir else []
        done = subprocess.run(
            [*map(str, command)], env=script_environment(), capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"reproduce_mnist.py ended with:\n{done.stderr[-2000:]}")
        return {"records": json.loads((Path(output) / "results.json").read_text())}


def report_mnist(result):
    rows = []
    for record in result["records"]:
        error = record["test_error_percent"]
        seconds = {f"{name}, s": spent for name, spent in record["seconds"].items()}
        rows.append({"row": record["row"], "test error, %": error} | seconds)
    print_rows(rows)
