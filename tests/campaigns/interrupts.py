"""KeyboardInterrupt at every line that a fit runs: all of an epoch, or nothing of it.

    python -m tests.campaigns.interrupts
    python -m tests.campaigns.interrupts --scenario tied --line 812
    python -m tests.campaigns.interrupts --everywhere --scenario svm

A fit of each kind is made again for every line of minisca's Python code that it runs, and
interrupted there: when that line comes first, second and last, or with --always every time. With
--everywhere the lines are those of all Python code, NumPy's and Numba's too.

Then it is KeyboardInterrupt that must have come out, the estimator must be as it was before the fit
or between two epochs, a file as it was before or after its writing, nothing may lie beside it, and
a fit that resumes from it must end in the bits of one that was never interrupted. Prints counts and
what went wrong; ends with 1 where anything did.
"""

import argparse
import copy
import math
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

from minisca import (
    EarlyStopping,
    LinearSVM,
    LogisticRegression,
    SoftmaxSGD,
    SparseConvAutoencoder,
    Stack,
)
from minisca.classifiers import resuming
from minisca.preprocessing import ZCA
from tests.campaigns.tracer import HOME, Tracer
from tests.support import baselines
from tests.support.layers import few, small
from tests.support.saved_files import contents

X, OTHERS = few(), few(seed=1)
ROWS, WORDS = X.reshape(len(X), -1), np.array(["one", "two", "three"])[np.arange(len(X)) % 3]


class Scenario(NamedTuple):
    """What is interrupted, and what it is compared with."""

    make: Callable  # the estimator, as it is before
    #: From it, the path of a checkpoint and whether to resume to nothing.
    act: Callable
    resumes: bool = True  # whether it saves there, and can resume from it


def fitting(*data):
    return lambda made, path, resume: made.fit(*data, checkpoint=path, resume=resume)


def plain(method, *data):
    return lambda made, path, resume: getattr(made, method)(*data)


def judged(made, path, resume):
    watched = {"callbacks": [EarlyStopping(1)], "validation_images": OTHERS}
    made.fit(X, checkpoint=path, resume=resume, **watched)


def saving(made, path, resume):
    made.save(path)


def fitted(make, *data):
    once = cache(lambda: make().fit(*data))
    return lambda: copy.deepcopy(once())


QUICK = {"max_iter": 4, "tol": 1e-9, "verbose": False}
SCENARIOS = {
    "winner-take-all": Scenario(small, fitting(X)),
    "tied": Scenario(partial(small, tied=True, n_epochs=1), fitting(X)),
    "lifetime": Scenario(partial(small, lifetime=0.5, n_epochs=1), fitting(X)),
    "early-stopping": Scenario(partial(small, n_epochs=3), judged),
    "stack": Scenario(lambda: Stack([small(n_epochs=1), small(n_epochs=1)]), fitting(X)),
    "partial-fit": Scenario(fitted(small, X), plain("partial_fit", OTHERS), False),
    "first-partial-fit": Scenario(small, plain("partial_fit", X), False),
    "again": Scenario(fitted(small, X), plain("fit", few(9, seed=2)), False),
    "save": Scenario(fitted(small, X), saving, False),
    "logistic": Scenario(lambda: LogisticRegression(l2=0.01, **QUICK), fitting(ROWS, WORDS)),
    "svm": Scenario(lambda: LinearSVM(**QUICK), fitting(ROWS, WORDS)),
    "svm-again": Scenario(
        fitted(partial(LinearSVM, **QUICK), ROWS, WORDS), plain("fit", ROWS[1:], WORDS[1:]), False
    ),
    "sgd": Scenario(
        lambda: SoftmaxSGD(n_epochs=2, random_state=0, verbose=False), fitting(ROWS, WORDS)
    ),
    "zca": Scenario(fitted(ZCA, X), plain("fit", OTHERS), False),
    "k-sparse": Scenario(
        fitted(partial(baselines.autoencoder, n_epochs=2), baselines.patches(20)),
        *(plain("fit", baselines.patches(20, seed=1)), False),
    ),
    "convnet": Scenario(
        fitted(partial(baselines.network, n_epochs=2), *baselines.bars(12)),
        *(plain("fit", *baselines.bars(12, seed=1)), False),
    ),
    "triangle": Scenario(
        fitted(partial(baselines.triangle, standardise=True), baselines.pictures()),
        *(plain("fit", baselines.pictures(seed=1)), False),
    ),
}


def state(made):
    """Everything that it has learned, as something that compares; None if nothing."""
    try:
        return contents(made) if made.__sklearn_is_fitted__() else None
    except AttributeError as error:
        return f"half: {error}"


class Campaign:
    """One scenario: what it comes to when it is never interrupted, and when it is."""

    def __init__(self, scenario, folder, places):
        self.scenario, self.folder, self.places = scenario, Path(folder), places
        self.resumed = {}  # what was wrong, by the files that were there
        self.path = self.folder / "made" / "here"
        scenario.act(scenario.make(), self.path, False)  # compiles what there is to compile
        self.clear()
        made = scenario.make()
        self.allowed = [state(made)]
        with Tracer(places=places) as tracer:
            scenario.act(made, self.path, False)
        self.times, self.final = tracer.times, state(made)
        self.names = self.left()
        self.clear()
        made = scenario.make()
        with Tracer(at_epoch=lambda: self.allowed.append(state(made))):
            scenario.act(made, self.path, False)
        assert state(made) == self.final
        self.allowed.append(self.final)

    def files(self):
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def left(self):
        return [path.name for path in self.files()]

    def clear(self):
        shutil.rmtree(self.folder / "made", ignore_errors=True)

    def faults(self, line):
        """(where the line is, what is wrong after an interrupt there)."""
        self.clear()
        made, found = self.scenario.make(), []
        try:
            with Tracer(line, self.places) as tracer:
                self.scenario.act(made, self.path, False)
            found.append("nothing came out")
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            found.append(f"{error!r} came out")
        if state(made) not in self.allowed:
            found.append("the estimator is neither as before nor as after an epoch")
        if extra := set(self.left()) - set(self.names):
            found.append(f"{extra} are left behind")
        layer = isinstance(made, SparseConvAutoencoder)
        if layer and self.path.exists():
            saved = state(SparseConvAutoencoder.load(self.path))
            if saved not in self.allowed:
                found.append("the file is neither as before nor as after an epoch")
            elif self.scenario.resumes and epochs(state(made)) - epochs(saved) not in (0, 1):
                found.append(f"file: epoch {epochs(saved)}; layer: {epochs(state(made))}")
        if self.scenario.resumes:
            files = tuple((path, path.read_bytes()) for path in self.files())
            if files not in self.resumed:
                self.resumed[files] = list(self.faults_of_resuming())
            found += self.resumed[files]
        return tracer.where, found

    def faults_of_resuming(self):
        again = self.scenario.make()
        self.scenario.act(again, self.path, True)
        if state(again) != self.final:
            yield "resumed, it ends in something else"
        if self.left() != self.names:
            yield f"resumed, it leaves {self.left()}"


def epochs(layer_state):
    """That it has had: none before it has learned anything, when its file may be there already."""
    return 0 if layer_state is None else layer_state[1]["n_epochs_done"]


def run(name, choose, places=HOME):
    """Counts of one scenario, and {what went wrong: [the lines' numbers and places]}.

    choose: from {(code, line): the numbers under which it comes} to those that are interrupted.
    """
    counts, wrong = Counter(), {}
    always_saved = mock.patch.object(resuming, "SHARE", math.inf)  # whatever time that takes
    with always_saved, tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        campaign = Campaign(SCENARIOS[name], folder, places)
        for number in sorted(set(choose(campaign.times))):
            where, found = campaign.faults(number)
            counts["interrupts"] += 1
            counts["wrong"] += bool(found)
            for fault in found:
                wrong.setdefault(fault, []).append(f"{number} ({where})")
    return counts, wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--line", type=int, help="this one alone, by its number")
    parser.add_argument("--everywhere", action="store_true", help="lines of other packages too")
    parser.add_argument("--always", action="store_true", help="every time that a line comes")
    options = parser.parse_args()
    os.fsync = lambda descriptor: None  # it takes most of the time, and no computer is switched off
    places, total = "" if options.everywhere else HOME, Counter()

    def choose(times):
        if options.line:
            return [options.line]
        each = (n if options.always else [*n[:2], n[-1]] for n in times.values())
        return chain(*each)

    for name in options.scenario:
        counts, wrong = run(name, choose, places)
        print(f"{name}: {counts['interrupts']} interrupts, {counts['wrong']} wrong", flush=True)
        for fault, lines in wrong.items():
            print(f"    {fault}, {len(lines)} times: at {', '.join(lines[:5])}", flush=True)
        total += counts
    print(f"{total['interrupts']} interrupts, {total['wrong']} went wrong")
    return total["wrong"] > 0


if __name__ == "__main__":
    sys.exit(main())
