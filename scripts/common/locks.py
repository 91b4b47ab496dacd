"""One process at a time: the system lets go of a lock when its process ends, however it ends."""

from importlib.util import find_spec
from pathlib import Path

INSTALL = 'pip install ".[scripts]"'


def lock(path):
    """The lock of the file `path`, which lies beside it as `<path>.lock`.

    Parameters
    ----------
    path : str or Path
        What is locked; it need not exist. The folder is made where it is missing.

    Returns
    -------
    filelock.FileLock
        `with lock(path):` waits for it; `acquire(blocking=False)` raises `filelock.Timeout` where
        another process holds it.
    """
    from filelock import FileLock

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


def check_packages():
    """End the script where filelock is missing; say so, and return False, where matplotlib is.

    Called before anything is trained.

    Returns
    -------
    bool
        Whether pictures can be drawn.
    """
    if find_spec("filelock") is None:
        raise SystemExit(f"The package filelock is missing: {INSTALL}")
    if find_spec("matplotlib") is None:
        print(f"No pictures will be drawn: the package matplotlib is missing ({INSTALL})")
        return False
    return True
