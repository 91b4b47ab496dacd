"""The file of a fit: where it stands while it is made, and what came of it in the end.

Both are checkpoints of the classifier's kind, which say under "data" what is fitted to. A finished
one is what `save` writes and `load` reads. One of a fit that is not done has the setting "training"
and arrays "training/...": what a state of the classifier's own gives by `to_file()`.
"""

import contextlib
import os
import time

from minisca.estimator import check_resumable
from minisca.files.checkpoint import (
    CheckpointError,
    fitting,
    load_checkpoint,
    require,
    save_checkpoint,
)
from minisca.training.images import check_fingerprint, difference, fingerprint

#: Of a fit's time, how much goes at most into writing its file again and again.
SHARE = 0.02


class FitFile:
    """The file at `path`, of the fit of `classifier`; None: nothing is kept, nothing is written.

    blocks, labels: what is fitted to. held_out: the HeldOut that judges it, or None.

    A context manager: when an exception ends the block, Ctrl-C among them, the state that was
    reached last is written.
    """

    def __init__(self, path, classifier, blocks, labels, held_out=None):
        self.path = path
        self._classifier = classifier
        self._reached = None
        self._due = 0.0
        #: Where the fit goes on, as `state.to_file()` gave it: (arrays, numbers), or None.
        self.found = None
        if path is not None:
            self._data = _fingerprints(blocks, labels)
            if held_out is not None:
                validation = _fingerprints(held_out.blocks, held_out.labels)
                self._data |= {f"validation_{name}": of for name, of in validation.items()}

    def resume(self):
        """The classifier, if the file is of a fit that is done, or None; and what `found` is to be.

        Raises CheckpointError, naming the file, for a damaged one and one of another fit.
        """
        kind = type(self._classifier)
        try:
            arrays, settings = load_checkpoint(self.path, kind.__name__)
        except FileNotFoundError:
            return None, None
        self._check_same_fit(settings)
        if "training" not in settings:
            return kind.from_file(self.path, arrays, settings), None
        return None, (arrays, settings["training"])

    def _check_same_fit(self, settings):
        saved, _ = type(self._classifier)._constructed(self.path, settings)
        if "data" not in settings:
            why = "does not say what it was fitted to: it is no checkpoint of fit"
            raise CheckpointError(f"{os.fspath(self.path)} {why}")
        with fitting(self.path):
            if not isinstance(settings["data"], dict):
                raise TypeError(f"data is {settings['data']!r}; it must be by name")
        before, now = ("validation_features" in data for data in (settings["data"], self._data))
        if before != now:
            how, must = ("with", "given") if before else ("without", "None")
            why = f"was fitted {how} validation, which must be {must} to resume from it"
            raise CheckpointError(f"{os.fspath(self.path)} {why}")
        with fitting(self.path):
            require(self.path, {}, {}, settings["data"], self._data)
            theirs = {name: check_fingerprint(settings["data"][name], name) for name in self._data}
            if None in theirs.values():
                raise TypeError("data is None; it must say what was fitted to")
        check_resumable(os.fspath(self.path), self._classifier, saved)
        for name, mine in self._data.items():
            rows = name.endswith("features")
            limit = {} if rows else {"limit": mine["shape"][0]}
            if differs := difference(theirs[name], mine, "rows" if rows else "labels", **limit):
                other = name.replace("_", " ")
                raise CheckpointError(
                    f"{os.fspath(self.path)} was fitted to other {other}: {differs}"
                )

    def reached(self, state):
        """Keep where the fit stands now, and write it unless that came to more than `SHARE`.

        What `state.to_file()` gives may be a function, which is called when it is written.
        """
        if self.path is None:
            return
        self._reached = state.to_file()
        if time.perf_counter() >= self._due:
            self._write()

    def _write(self):
        start = time.perf_counter()
        arrays, numbers = self._reached() if callable(self._reached) else self._reached
        parameters = self._classifier.get_params(deep=False)
        settings = {"parameters": parameters, "data": self._data, "training": numbers}
        save_checkpoint(self.path, type(self._classifier).__name__, arrays, settings)
        end = time.perf_counter()
        self._due = end + (end - start) / SHARE

    def finish(self, fitted):
        """Write the classifier that came of the fit, in place of where it stood."""
        if self.path is not None:
            arrays, settings = fitted.to_file()
            kind = type(fitted).__name__
            save_checkpoint(self.path, kind, arrays, settings | {"data": self._data})

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and self._reached is not None:
            # What stopped the fit is what the caller gets, whatever else fails here.
            with contextlib.suppress(Exception):
                self._write()
        self._reached = None  # what it holds may be a device's


def _fingerprints(blocks, labels):
    features = fingerprint(blocks.features, read=blocks.rows_as_they_are)
    return {"features": features, "labels": fingerprint(labels, len(labels))}
