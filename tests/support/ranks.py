"""Runs `ranks_worker` on several ranks, each a process, through mpi4py and mpiexec."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def mpiexec():
    """The command that starts ranks, or None."""
    beside = Path(sys.executable).with_name("mpiexec")  # where the package mpich puts it
    return str(beside) if beside.exists() else shutil.which("mpiexec")


needs_mpi = pytest.mark.skipif(
    find_spec("mpi4py") is None or mpiexec() is None,
    reason="mpi4py or mpiexec is missing: pip install minisca[mpi]",
)


def start_ranks(n, *command, **options):
    """The process that runs a Python command on n ranks, of one thread each."""
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"}
    return subprocess.Popen(
        [mpiexec(), "-n", str(n), sys.executable, "-m", "mpi4py", *map(str, command)],
        cwd=ROOT,
        env=os.environ | threads,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@cache
def run_on_ranks(n, *functions):
    """{function of `ranks_worker`: what it returned}, a list of every rank's, for n ranks.

    All in one start of them: to start takes longer than all that they do.
    """
    with tempfile.TemporaryDirectory() as directory:
        worker = ROOT / "tests" / "support" / "ranks_worker.py"
        process = start_ranks(n, worker, directory, *functions)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return [json.loads((Path(directory) / f"{rank}.json").read_text()) for rank in range(n)]
