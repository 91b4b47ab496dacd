"""Measurements that need a process of their own: one script, one JSON argument, one JSON answer."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
MB = 10**6


def run_child(module, task, **environment):
    """Run `module` of scripts/ on the JSON-able `task`; returns the JSON object it printed last.

    environment: variables for the child. RuntimeError has what it said if the child fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(task)],
        env=script_environment() | environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed on {task}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def script_environment():
    """The environment of a child that finds the scripts and minisca, installed or not."""
    given = filter(None, [os.environ.get("PYTHONPATH")])
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent), *given])}


def answer(measure):
    """In the child: measure the task of the command line and print the answer."""
    print(json.dumps(measure(json.loads(sys.argv[1]))))


class PeakMemory:
    """Bytes that a block of code needs beyond what the process held before it (Linux).

    `beyond` counts everything resident, pages of memory-mapped files too; `private_beyond`, sampled
    every few milliseconds, only what is the process's own and would not fit a smaller machine.
    """

    def __enter__(self):
        with contextlib.suppress(OSError):  # where it is not allowed, the peak is the process's
            Path("/proc/self/clear_refs").write_text("5")
        before = memory()
        self._before, self._private_before = before["VmRSS"], before["RssAnon"]
        self._private_peak = self._private_before
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def _sample(self):
        while not self._done.wait(0.005):
            self._private_peak = max(self._private_peak, memory()["RssAnon"])

    def __exit__(self, *exception):
        self._done.set()
        self._sampler.join()
        self.beyond = memory()["VmHWM"] - self._before
        self.private_beyond = self._private_peak - self._private_before


def can_measure_memory():
    return Path("/proc/self/status").exists()


def memory():
    """VmHWM, VmRSS, RssAnon, VmData of this process in bytes."""
    wanted = ("VmHWM", "VmRSS", "RssAnon", "VmData")
    with open("/proc/self/status") as file:
        lines = (line.partition(":") for line in file)
        return {name: 1024 * int(text.split()[0]) for name, _, text in lines if name in wanted}
