"""One process at a time: the system lets go of a lock when its process ends, however it ends."""

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

INSTALL = 'pip install ".[scripts]"'


def lock(path):
    """The `filelock.FileLock` of a file, existing or not: `<path>.lock`, in a folder that is made.

    `with lock(path):` waits for it; `acquire(blocking=False)` raises `filelock.Timeout` where
    another process holds it.
    """
    from filelock import FileLock

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


@contextmanager
def waiting_for(path):
    """Hold the lock of a file, existing or not; where another process has it, say so and wait."""
    from filelock import Timeout

    held = lock(path)
    try:
        held.acquire(blocking=False)
    except Timeout:
        print(f"Waiting for another process that makes {Path(path).name}", flush=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def check_packages():
    """Whether pictures can be drawn: says so where matplotlib is missing.

    Ends the script where filelock is. Called before anything is trained.
    """
    if find_spec("filelock") is None:
        raise SystemExit(f"The package filelock is missing: {INSTALL}")
    if find_spec("matplotlib") is None:
        print(f"No pictures will be drawn: the package matplotlib is missing ({INSTALL})")
        return False
    return True
