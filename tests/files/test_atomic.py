"""A file written by `atomic_write` is there whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minisca.files import atomic
from minisca.files.atomic import atomic_write

posix_only = pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")


@pytest.fixture
def path(tmp_path):
    """A file that holds b"old", alone in its folder."""
    (tmp_path / "a.bin").write_bytes(b"old")
    return tmp_path / "a.bin"


def write(path, error=None):
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists() or path.read_bytes() == b"old"
        if error:
            raise error


def test_the_target_is_replaced_when_the_block_ends_and_nothing_else_is_left(path):
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["a.bin"]


def test_missing_parents_are_created(tmp_path):
    write(tmp_path / "x" / "y" / "a.bin")
    assert (tmp_path / "x" / "y" / "a.bin").read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_partial_one(path, error):
    with pytest.raises(error):
        write(path, error)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["a.bin"]


@posix_only
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_of_an_ordinary_open(tmp_path, umask):
    before = os.umask(umask)
    try:
        write(tmp_path / "atomic")
        (tmp_path / "ordinary").write_bytes(b"")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("atomic", "ordinary")]
    assert modes[0] == modes[1] == 0o666 & ~umask


@posix_only
def test_an_existing_file_keeps_its_permissions(path):
    path.chmod(0o640)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@posix_only
def test_a_symbolic_link_is_followed(path, tmp_path):
    (tmp_path / "link").symlink_to(path)
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes() == b"new"


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a regular file"):
        write(tmp_path)
    assert os.listdir(tmp_path) == []


# What the system refuses names the target -------------------------------------------------------

FULL = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from minisca.files.atomic import atomic_write
for size, interrupt in ((10**6, False), (100_001, False), (9, True), (100_001, True)):
    try:
        with atomic_write(sys.argv[1]) as file:
            file.write(bytes(size))
            if interrupt:
                raise KeyboardInterrupt
    except OSError as error:
        print(size, "OSError", error.filename)
    except KeyboardInterrupt:
        print(size, "KeyboardInterrupt")
    print(os.listdir(os.path.dirname(sys.argv[1])))
"""


@posix_only
def test_a_file_that_grows_too_large_is_named_and_leaves_nothing(path):
    command = [sys.executable, "-W", "error", "-c", FULL, path]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    results = [f"1000000 OSError {path}", f"100001 OSError {path}"]
    # what is left to be written does not get in an interrupt's way
    results += ["9 KeyboardInterrupt", "100001 KeyboardInterrupt"]
    expected = [line for result in results for line in (result, "['a.bin']")]
    assert done.stdout.splitlines() == expected
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_whatever_call_fails_the_target_is_named_and_nothing_is_left(
    path, monkeypatch, call, error
):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises(type(error)) as caught:
        write(path)
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left: '{path}'"
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["a.bin"]


def test_a_folder_that_is_a_file_is_named(path):
    with pytest.raises(OSError, match=r"cannot be made|Not a directory") as caught:
        write(path / "b" / "c.bin")
    assert str(path / "b" / "c.bin") in str(caught.value)


def test_an_error_of_the_block_itself_keeps_its_own_file(path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(path):
        open(path.parent / "images.npy").close()
    assert caught.value.filename == str(path.parent / "images.npy")


def test_an_interrupt_while_the_bytes_go_out_stays_one(path, monkeypatch):
    def interrupted(raw, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic._Raw, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(path)
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        np.savez(file, np.zeros(10**5))
    assert os.listdir(path.parent) == ["a.bin"]
