"""What every script writes down about a run: one JSON record a row and seed, in one form."""

import json
import os
import platform
import re
import shlex
import sys
import time
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path

from common.data_files import NUMBER, NUMBER_OR_NONE, checked, read_json, read_toml
from common.locks import lock

import minisca
from minisca.files.atomic import atomic_write

ROOT = Path(__file__).resolve().parents[2]

#: Settings that some records have and others lack, of layers, k-means and classifiers: they came
#: later, or are gone. What a record that lacks one was measured with.
LATER_SETTINGS = {
    "schedule": "linear",
    "pool_origin": "centred",
    "encoding_contrast": None,
    "flat": False,
    "init_bias": 0.0,
    "normalise_filters": False,
    "centre": False,
    "init_filters": "random",
    "algorithm": "lloyd",
    "pooling": "sum",
    "backend": "cpu",
}


#: What a record has: `common.data_files` says what a form is.
RECORD = {
    **{"row": str, "seed": int, "data": str, "backend": str, "command": str, "losses": list},
    **{"settings": {"layers": [dict]}, "versions": dict, "machine": dict},
    "seconds": {"total": NUMBER},
    **dict.fromkeys(("test_accuracy_percent", "validation_accuracy_percent"), NUMBER),
    **dict.fromkeys(("reconstruction_error", "peak_memory_gib", "dead_maps"), NUMBER_OR_NONE),
    **dict.fromkeys(
        ("paper_percent", "test_error_percent", "validation_error_percent"), NUMBER_OR_NONE
    ),
    "n_features": int,
    "curve": [{"labels_per_class": int, "test_errors_percent": [NUMBER]}],
}


def paper():
    """All that reference/paper.toml says."""
    path = ROOT / "reference" / "paper.toml"
    return checked(read_toml(path), {"paper": dict, "experiments": dict}, str(path))


def published(row):
    """The paper's figure for a row such as "mnist-16", in percent; None for a row of our own."""
    return paper()["experiments"].get(row, {}).get("value")


def environment():
    """Versions, machine, memory and command: what a figure needs beside it to be believed.

    `peak_memory_gib` is the largest that the process has been so far, what it mapped of files and
    the system kept in memory included; None where the system does not tell.
    """
    libraries = ("numpy", "scipy", "numba", "llvmlite")
    return {
        "versions": {"python": platform.python_version(), "minisca": minisca.__version__}
        | {name: version(name) for name in libraries},
        "machine": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "memory_gib": _memory_gib(),
            "system": platform.system(),
        },
        "peak_memory_gib": peak_memory_gib(),
        "command": shlex.join(["python", *map(_without_places, sys.argv)]),
    }


def version(name):
    """Of a package, installed or only on the path; None where neither tells."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return getattr(import_module(name), "__version__", None)


def peak_memory_gib():
    """The largest resident set of this process, or None."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if platform.system() == "Darwin" else 2**10
    return round(peak * unit / 2**30, 2)


#: A path that says who runs a command or where, whatever the system: an absolute one, one in a home
#: or below a variable, one that leaves the working directory; up to its last separator.
_PLACE = re.compile(
    r"""(?: ^ | (?<= [\s=,;'"(] ) | (?<= : ) (?! // ) )
    (?: file:/ | [A-Za-z]:[/\\] | [/\\]
      | (?: ~[^/\\\s]* | \$[^/\\\s]+ | %\w+% | (?: [^/\\\s]+[/\\] )* \.\. ) (?= [/\\] | $ ) )
    (?: .*[/\\] )?""",
    re.VERBOSE | re.DOTALL,
)


def _without_places(argument):
    """An argument of the command as a record has it: it runs elsewhere, and tells nothing private.

    A path in this repository starts at its root. Of another absolute one the last part is left.
    """
    option, equals, value = argument.rpartition("=") if argument[:1] == "-" else ("", "", argument)
    path = Path(os.path.realpath(value))
    if (Path(value).is_absolute() or ".." in value) and path.is_relative_to(ROOT):
        return f"{option}{equals}{path.relative_to(ROOT)}"
    return f"{option}{equals}{_PLACE.sub('', value.rstrip('/' + os.sep)) or '.' * bool(value)}"


def _cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory_gib():
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


class Results:
    """The results.json of a directory, or another file: written after every record.

    Records of other rows and seeds are always kept, those that other processes add meanwhile too,
    theirs of other settings also. With `resume`, a run that is there is not measured again.
    """

    def __init__(self, directory, resume, name="results.json"):
        self.path = Path(directory) / name
        self.resume = resume
        self.records = self.before = self.read()

    def read(self):
        """The records as they are in the file now."""
        records = read_json(self.path, [RECORD]) if self.path.exists() else []
        for record in records:
            _, _, _ = (record[key] for key in ("row", "seed", "data"))  # or it says what it lacks
            record.where += f" (row {record['row']!r}, seed {record['seed']})"
        return records

    def find(self, row, seed, data, settings):
        """The record of this very run to resume from, or None."""
        if not self.resume:
            return None
        wanted = json.loads(json.dumps([row, seed, data, settings]))
        for record in self.records:
            if same_settings(wanted, [record[key] for key in ("row", "seed", "data", "settings")]):
                return record
        return None

    def add(self, record):
        """Append a record, in place of one of the same row, seed, data and backend.

        One of other settings is replaced only if it was there before: what another process adds
        meanwhile stays beside it.
        """

        def is_replaced(old):
            same = all(
                old.get(key) == record.get(key) for key in ("row", "seed", "data", "backend")
            )
            return same and (old in self.before or old.get("settings") == settings)

        settings = json.loads(json.dumps(record.get("settings")))  # as a file has them
        with lock(self.path):
            self.records = [old for old in self.read() if not is_replaced(old)]
            self.records.append(record)
            with atomic_write(self.path) as file:
                file.write(json.dumps(self.records, indent=1).encode() + b"\n")


def same_settings(wanted, recorded):
    """Whether a record is of what is wanted: both as JSON has them, but for `LATER_SETTINGS`."""
    if isinstance(wanted, dict) and isinstance(recorded, dict):
        later = LATER_SETTINGS if "n_maps" in wanted else {}
        later = {"backend": "cpu"} if "l2" in wanted else later
        wanted, recorded = later | wanted, later | recorded
        return wanted.keys() == recorded.keys() and all(
            same_settings(value, recorded[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(recorded, list):
        return len(wanted) == len(recorded) and all(map(same_settings, wanted, recorded))
    return wanted == recorded


class Stopwatch:
    """Seconds by phase: `with watch("train"): ...`.

    wait: what is called before the clock is read, until a device is done; None: nothing waits.
    """

    def __init__(self, wait=None):
        self.seconds = {}
        self._wait = wait or (lambda: None)

    @contextmanager
    def __call__(self, phase):
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        spent = time.perf_counter() - start
        self.seconds[phase] = round(self.seconds.get(phase, 0) + spent, 2)


def print_table(header, rows):
    """A table on the terminal, columns as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, ["-" * width for width in widths], *rows):
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def print_rows(rows):
    """A table of dicts {heading: a cell}, their headings the same; None is a "-"."""
    if not rows:
        return
    cells = [["-" if cell is None else str(cell) for cell in row.values()] for row in rows]
    print_table([*rows[0]], cells)
