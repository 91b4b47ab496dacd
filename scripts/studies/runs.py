"""A study's directory: finished runs, one JSON line each, and claims on what is being run.

Any number of processes may work in one directory. A line is appended by one of them at a time; what
is being run is claimed by a file that only one process can create.
"""

import contextlib
import json
import os
import secrets
import socket
import time
from pathlib import Path

from minisca.files.atomic import atomic_write

try:
    import fcntl
except ImportError:
    fcntl = None

#: A claim of another machine, or of no living process, that is older is given up; seconds.
STALE_SECONDS = 6 * 3600


class Runs:
    """runs.jsonl and claims/ of a directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.path = self.directory / "runs.jsonl"
        self.claims = self.directory / "claims"

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
        """Add one line, in a single write, and have it reach the disk."""
        self.directory.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record).encode() + b"\n"
        with open(self.path, "a+b", buffering=0) as file, _alone(file):
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":  # a write that was cut short
                    line = b"\n" + line
            if file.write(line) != len(line):
                raise OSError(f"{self.path} took only part of a line; is the disk full?")
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def claim(self, name):
        """Yields whether `name` is this process's to run, until the block ends."""
        path = self.claims / f"{name}.claim"
        taken = self._take(path)
        try:
            yield taken
        finally:
            if taken:
                path.unlink(missing_ok=True)
                for right in self.claims.glob(f"{name}.*.taken-over"):
                    right.unlink(missing_ok=True)

    def _take(self, path):
        self.claims.mkdir(parents=True, exist_ok=True)
        mine = json.dumps(
            {
                "token": secrets.token_hex(8),
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": time.time(),
            }
        ).encode()
        if _create(path, mine):
            return True
        try:
            theirs = json.loads(path.read_bytes())
        except FileNotFoundError:  # just removed
            return False
        except ValueError:  # just being written, or its writer was killed
            theirs = {"host": None, "started": _changed(path), "token": "unwritten"}
        if not _is_stale(theirs):
            return False
        # Whoever creates this file, one for every claim ever made, may replace that claim.
        if not _create(path.with_suffix(f".{theirs['token']}.taken-over"), mine):
            return False
        with atomic_write(path) as file:
            file.write(mine)
        return True


@contextlib.contextmanager
def _alone(file):
    """Until the block ends, no other process or thread is in such a block with this file.

    A line whose write is still going on looks like one that was cut short. Where there is no such
    lock (Windows), two that append in the same instant may leave an empty line, which is passed.
    """
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)  # closing the file gives it up
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _create(path, content):
    """Whether `path` was not there, and now is, with this content."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with open(descriptor, "wb") as file:
        file.write(content)
    return True


def _changed(path):
    """When the file was last written to; now, if it has gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _is_stale(claim):
    """Whether the process that made a claim is gone, as far as can be told from here."""
    if claim["host"] == socket.gethostname() and os.name == "posix":
        try:
            os.kill(claim["pid"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False
    return time.time() - claim["started"] > STALE_SECONDS
