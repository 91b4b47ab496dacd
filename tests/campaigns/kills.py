"""Processes killed at random moments: what resumes loses nothing and ends in the same bits.

    python -m tests.campaigns.kills --kills 200 --seed 0
    python -m tests.campaigns.kills --kills 20 --subject mnist two-studies

Fits with checkpoints and commands are started, and killed (SIGKILL) up to three times at random
moments; then they go on until they are done. Right after a kill there must be every epoch and every
record that was there before. In the end every file must be as a run leaves it that was never
killed, records but for their times, and none may lie beside them. Where a subject is two processes
in one output, either may be killed, or both. Prints counts and what went wrong; ends with 1 where
anything did. Linux and macOS only: the processes are forked.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import figures
import numpy as np
import reproduce_mnist
import study

from minisca import LinearSVM, LogisticRegression, Stack
from tests.campaigns.forked import MOST_SECONDS, Process
from tests.support.layers import images, layer
from tests.support.mnist_files import put_bars

#: What of a record depends on when it was made.
TIMES = ("seconds", "peak_memory_gib")
SPACE = """
design = "star"
[training]
n_maps = 4
n_epochs = [2, 3]
[encoding]
encoding_bias = [1.0, 0.5]
max_iter = 5
"""
MOST_KILLS = 3  # of a run


def fit(make, data, folder):
    make().fit(*data, checkpoint=folder / "made", resume=True)


def command(script, options, folder):
    data = folder.parents[2] / "data"
    options = options.format(data=data).split()
    options += ["--output", str(folder), "--data-dir", str(data)]
    sys.argv = [f"scripts/{script.__name__}.py", *options]
    script.main()


def features(n=300):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 60)).astype(np.float32), np.arange(n) % 5


QUICK = {"verbose": False, "tol": 1e-12}
ROWS = "--quick --resume --epochs 3 --rows reconstruction 128 --seeds"
#: {name: what each of its processes does with the folder}.
SUBJECTS = {
    "layer": [partial(fit, partial(layer, n_epochs=8), [images()])],
    "tied": [partial(fit, partial(layer, n_epochs=8, tied=True), [images()])],
    "stack": [partial(fit, lambda: Stack([layer(n_epochs=4), layer(n_epochs=4)]), [images()])],
    "svm": [partial(fit, partial(LinearSVM, **QUICK, max_iter=300), features())],
    "logistic": [partial(fit, partial(LogisticRegression, **QUICK), features())],
    "mnist": [partial(command, reproduce_mnist, f"{ROWS} 0")],
    "study": [partial(command, study, "{data}/small.toml")],
    "figures": [partial(command, figures, "3 --quick --resume")],
    "two-mnists": [partial(command, reproduce_mnist, f"{ROWS} {seed}") for seed in "01"],
    "two-alike": [partial(command, reproduce_mnist, f"{ROWS} 0")] * 2,
    "two-studies": [partial(command, study, "{data}/small.toml --seeds 0 1")] * 2,
}


def progress(folder):
    """{what is there, and must stay: how much of it}: epochs of layers, records, runs."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.suffix == ".jsonl":
            found |= {f"{name}: {record['key']}": 1 for record in records(path)}
        elif name.endswith(".json"):
            found |= {f"{name}: {r.get('row')} {r.get('seed')}": 1 for r in records(path)}
        elif path.is_file() and not name.endswith((".lock", ".partial", ".png")):
            if path.name.startswith("fit-"):  # it goes when the record is there
                continue
            found[name] = 0  # of most, that they are there is all
            if path.read_bytes()[:2] == b"PK":
                with np.load(path) as arrays:
                    found[name] = len(arrays.get("loss_history", ()))
    return found


def records(path):
    text = path.read_text()
    if path.suffix == ".json":
        found = json.loads(text)
        return found if isinstance(found, list) else [found]
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def without_times(found):
    if isinstance(found, dict):
        return {k: without_times(v) for k, v in found.items() if k not in TIMES}
    return list(map(without_times, found)) if isinstance(found, list) else found


def outcome(folder, alone):
    """{path: what is in it, as something that compares}; alone: whether by one process."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        contents = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            kept = map(without_times, records(path))
            contents = sorted(json.dumps(record, sort_keys=True) for record in kept)
        elif path.suffix == ".html" or (not alone and path.suffix == ".png"):
            contents = None  # it shows the times; it is that of who came last
        found[str(path.relative_to(folder))] = contents
    return found


class Campaign:
    """The runs of one subject in a folder that is there; `whole` is never killed."""

    def __init__(self, name, folder, draw):
        self.jobs, self.folder, self.draw = SUBJECTS[name], folder, draw
        self.counts, self.wrong = Counter(), []
        self._finish(folder / "first" / "out")  # compiles what there is to compile
        start = time.monotonic()
        self._finish(folder / "whole" / "out")
        self.seconds = time.monotonic() - start
        self.whole = outcome(folder / "whole" / "out", len(self.jobs) == 1)

    def _start(self, out):
        out.mkdir(parents=True, exist_ok=True)
        log = out.parent / "log"
        return [Process(job, out, log, progress) for job in self.jobs]

    def _finish(self, out):
        for process in self._start(out):
            if not process.wait(MOST_SECONDS):
                process.kill()
            if process.code:
                said = process.log.read_text()[-1500:]
                self.wrong.append(f"a process ended with {process.code}: {said}")

    def run(self):
        """One run: killed, gone on with, compared."""
        out = self.folder / "killed" / "out"
        kills = self.draw.randint(1, MOST_KILLS)
        for _ in range(kills):
            processes = self._start(out)
            moments = [self.draw.uniform(0, 1.1 * self.seconds) for _ in processes]
            start = time.monotonic()
            for moment, process in sorted(zip(moments, processes, strict=True), key=lambda p: p[0]):
                if not process.wait(start + moment - time.monotonic()):
                    process.kill()
                    self.counts["kills"] += 1
            there = progress(out)
            for process in processes:
                lost = {k for k, n in process.promised().items() if there.get(k, -1) < n}
                if lost:
                    self.wrong.append(f"a kill lost {lost}")
        self._finish(out)
        self._compare(outcome(out, len(self.jobs) == 1))
        self.counts["runs"] += 1
        shutil.rmtree(out.parent)

    def _compare(self, found):
        for what, names in (
            ("is left behind", found.keys() - self.whole.keys()),
            ("is missing", self.whole.keys() - found.keys()),
            ("differs", {k for k, v in found.items() if self.whole.get(k, v) != v}),
        ):
            self.wrong += [f"{name} {what}" for name in sorted(names)]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200, help="at least so many, of all subjects")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--subject", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    options = parser.parse_args()
    total, faults = 0, 0
    for name in options.subject:
        with tempfile.TemporaryDirectory() as folder:
            put_bars(Path(folder) / "data", 60, 20)
            (Path(folder) / "data" / "small.toml").write_text(SPACE)
            campaign = Campaign(name, Path(folder) / name, random.Random(f"{options.seed} {name}"))
            while campaign.counts["kills"] < -(-options.kills // len(options.subject)):
                campaign.run()
        kills, runs = campaign.counts["kills"], campaign.counts["runs"]
        print(f"{name}: {kills} kills of {runs} runs of {campaign.seconds:.1f} s,", end=" ")
        print(f"{len(campaign.wrong)} wrong", flush=True)
        for fault, n in Counter(campaign.wrong).items():
            print(f"    {n} x {fault}", flush=True)
        total, faults = total + kills, faults + len(campaign.wrong)
    print(f"{total} kills, {faults} faults")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
