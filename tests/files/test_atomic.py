"""A file written by `atomic_write` is there whole or not at all."""

import os
import stat

import pytest

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
