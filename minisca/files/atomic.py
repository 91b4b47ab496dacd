"""Files that appear whole or not at all.

The bytes go to a temporary file beside the target, reach the disk, and only then take its name. A
process that is killed meanwhile leaves its temporary file; the next that writes the same target
removes it. While a file is written its writer holds a lock on it, which the system lets go of when
the process ends, however it ends.
"""

import contextlib
import errno
import hashlib
import io
import os
import platform
import secrets
import stat
import time
import zlib
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed
    fcntl = None  # type: ignore[assignment]

#: Age in seconds from which a temporary file is of a dead writer where no lock can tell.
DAY = 24 * 3600
#: The same on Windows, for which a file that is still open is safe anyway.
MINUTE = 60

#: What tells this machine's temporary files from those of others in a shared folder.
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@contextlib.contextmanager
def atomic_write(path):
    """Open a binary file that becomes `path` when the block ends without an exception.

    Missing parent directories are created. A new file gets the permissions that `open` would give
    it (0o666 less the umask), an existing file keeps its own; a symbolic link is followed. When the
    block raises, `path` is left as it was and the temporary file is removed, and so are those that
    killed processes left of the same `path`.

    Yields a binary file object, readable and writable, so formats that seek (.npz) work too; where
    it stands until then, to be mapped say, is its `raw.temporary`.
    Raises ValueError if `path` exists and is not a regular file, OSError that names `path` if it
    cannot be written.

    >>> with atomic_write("layer1.bin") as file:
    ...     file.write(b"...")
    """
    target = Path(os.path.realpath(path))
    with naming(path):
        permissions = _permissions(target, path)
        _make_folder(target.parent)
    # The name's start is for who looks into the folder; with the rest it is the target's alone.
    own = zlib.crc32(os.fsencode(target.name))
    prefix = f".{target.name[:40]}-{own:08x}-"
    _remove_those_of_dead_writers(target.parent, prefix)
    temporary = raw = None
    try:
        while raw is None:
            temporary = target.with_name(f"{prefix}{_HOST}-{secrets.token_hex(8)}.partial")
            with naming(path):
                raw = _create(temporary, path)
        file = io.BufferedRandom(raw)
        yield file
        with naming(path):
            file.flush()
            os.fsync(raw.fileno())
            if fcntl is None:  # an open file cannot be renamed there
                file.close()
            if permissions is not None:
                os.chmod(temporary, permissions)
            os.replace(temporary, target)
            _sync_folder(target.parent)
            file.close()  # and no sooner: its lock goes with it
    except BaseException:
        # What stopped the block is what the caller gets, whatever else fails here.
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.close()
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise


@contextlib.contextmanager
def naming(path):
    """Within the block, an OSError names `path`, whatever file the system met it at."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # else it is Python's own, with a text that would be lost
            error.filename = os.fspath(path)
            del error.filename2  # of a rename; None would be shown
        raise


class _Raw(io.FileIO):
    """The temporary file: an error of the system while it is written names the target."""

    def __init__(self, descriptor, temporary, path):
        super().__init__(descriptor, "r+")
        self.temporary, self.path = temporary, path

    def write(self, data):
        with naming(self.path):
            return super().write(data)

    def truncate(self, size=None):
        with naming(self.path):
            return super().truncate(size)


def _permissions(target, path):
    """The permission bits of the file that will be replaced, None where there is none."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise ValueError(f"{os.fspath(path)} exists and is not a regular file; name a file")
    return stat.S_IMODE(mode)


def _make_folder(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{error.strerror}; the folder {folder} cannot be made"
        raise OSError(error.errno, why) from error


def _create(temporary, path):
    """The new file, open and locked; None if another process took it for a dead writer's.

    That may happen between its creation and its lock.
    """
    # Opened by hand and not by `tempfile`, whose files only their owner may read.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    raw = _Raw(os.open(temporary, flags, 0o666), temporary, path)
    if fcntl is not None:
        with contextlib.suppress(OSError):  # file systems without locks: age tells there
            fcntl.flock(raw.fileno(), fcntl.LOCK_EX)
        if not temporary.exists():
            raw.close()
            return None
    return raw


def _remove_those_of_dead_writers(folder, prefix):
    """Remove the temporary files of this prefix that no living process writes any more."""
    with contextlib.suppress(OSError):  # a folder that may not be read: nothing is tidied
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(prefix)]
        for name in names:
            if name.endswith(".partial"):
                with contextlib.suppress(OSError):  # another removed it, or it is not ours
                    _remove_if_dead(folder / name, name[len(prefix) :].startswith(_HOST))


def _remove_if_dead(path, ours):
    """ours: whether this machine wrote it; another's locks may not be seen here."""
    age = time.time() - path.stat().st_mtime
    if fcntl is None:
        if age > MINUTE:
            path.unlink()
        return
    with open(path, "r+b") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:  # no locks here
            ours = False
        if ours or age > DAY:
            path.unlink()


def _sync_folder(folder):
    """Have the new name reach the disk too, where a folder can be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows, and folders that may be written but not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC):  # others: this file system has no such thing
            raise
    finally:
        os.close(descriptor)
