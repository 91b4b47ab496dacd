"""A study's directory: the finished runs, a JSON line each, and locks on what is being made.

Any number of processes may work in one directory. The system lets go of a process's locks when it
ends, however it ends; what it had not finished is then another's to make.
"""

import contextlib
import json
import os
from pathlib import Path

from common.data_files import NUMBER_OR_NONE, FileError, checked, parse_json
from common.locks import lock
from studies.space import SCORES

from minisca.files.atomic import naming

#: What a finished run has: `common.data_files` says what a form is.
RUN = {
    **{"key": str, "layer": str, "seed": int, "data": str, "settings": dict, "why": str},
    **dict.fromkeys(SCORES, NUMBER_OR_NONE),
}


def read_lines(path):
    """Yield the run of every line that is whole JSON.

    Half a line of a killed process is passed over. Raises FileError for a line of something else.
    """
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        where = f"{path}, line {number}"
        try:
            found = parse_json(line, where)
        except FileError:
            continue
        yield checked(found, RUN, where)


class Runs:
    """runs.jsonl and locks/ of a directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.path = self.directory / "runs.jsonl"

    def finished(self):
        """{key: record} of every line that is whole; half a line of a killed process is passed."""
        if not self.path.exists():
            return {}
        return {record["key"]: record for record in read_lines(self.path)}

    def append(self, record):
        """Add one line, and have it reach the disk; other processes wait meanwhile."""
        line = json.dumps(record).encode() + b"\n"
        with naming(self.path), lock(self.path), open(self.path, "a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a write that was cut short
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def hold(self, name, wait=False):
        """Yields whether `name` is this process's to make, until the block ends.

        wait: where another process holds it, wait until that lets go, and yield True.
        """
        from filelock import Timeout

        held = lock(self.directory / "locks" / name)
        try:
            held.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            held.release()
