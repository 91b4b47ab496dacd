"""Files that appear whole or not at all.

The bytes go to a temporary file beside the target, reach the disk, and only then take its name.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path):
    """Open a binary file that becomes `path` when the block ends without an exception.

    Missing parent directories are created. A new file gets the permissions that `open` would give
    it (0o666 less the umask), an existing file keeps its own; a symbolic link is followed. When the
    block raises, `path` is left as it was and the temporary file is removed.

    Yields a binary file object, readable and writable, so formats that seek (.npz) work too.
    Raises ValueError if `path` exists and is not a regular file, OSError if it cannot be written.

    >>> with atomic_write("layer1.bin") as file:
    ...     file.write(b"...")
    """
    target = Path(os.path.realpath(path))
    permissions = _permissions(target, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{secrets.token_hex(8)}.partial")
    # Opened by hand and not by `tempfile`, whose files only their owner may read.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with open(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if permissions is not None:
            os.chmod(temporary, permissions)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _permissions(target, path):
    """The permission bits of the file that will be replaced, None where there is none."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise ValueError(f"{os.fspath(path)} exists and is not a regular file; name a file")
    return stat.S_IMODE(mode)
