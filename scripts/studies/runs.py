"""A study's directory: the finished runs, a JSON line each, and locks on what is being made.

Any number of processes may work in one directory. The system lets go of a process's locks when it
ends, however it ends; what it had not finished is then another's to make.
"""

import contextlib
import json
import os
from pathlib import Path

from common.locks import lock


class Runs:
    """runs.jsonl and locks/ of a directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.path = self.directory / "runs.jsonl"

    def finished(self):
        """{key: record} of every line that is whole; half a line of a killed process is passed."""
        records = {}
        if self.path.exists():
            for line in self.path.read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    record = json.loads(line)
                    records[record["key"]] = record
        return records

    def append(self, record):
        """Add one line, and have it reach the disk; other processes wait meanwhile."""
        line = json.dumps(record).encode() + b"\n"
        with lock(self.path), open(self.path, "a+b") as file:
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
