"""A file written by `atomic_write` is there whole or not at all."""

import os
import stat

import numpy as np
import pytest

from minisca.files.atomic import atomic_write

posix_only = pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")


def write_half(path, error):
    with atomic_write(path) as file:
        file.write(b"new, but only ha")
        raise error


def test_writes_the_bytes_and_leaves_nothing_else(tmp_path):
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"whole")
    assert (tmp_path / "a.bin").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_creates_missing_parents(tmp_path):
    with atomic_write(tmp_path / "x" / "y" / "a.bin") as file:
        file.write(b"deep")
    assert (tmp_path / "x" / "y" / "a.bin").read_bytes() == b"deep"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_partial_one(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_target_is_untouched_until_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@posix_only
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_of_an_ordinary_open(tmp_path, umask):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "atomic") as file:
            file.write(b"")
        with open(tmp_path / "ordinary", "wb"):
            pass
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("atomic", "ordinary")]
    assert modes[0] == modes[1] == 0o666 & ~umask


@posix_only
def test_an_existing_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with atomic_write(path) as file:
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@posix_only
def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").write_bytes(b"old")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a regular file"), atomic_write(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_npz_can_be_written_through_it(tmp_path):
    with atomic_write(tmp_path / "a.npz") as file:
        np.savez(file, ones=np.ones(3))
    with np.load(tmp_path / "a.npz") as stored:
        np.testing.assert_array_equal(stored["ones"], np.ones(3))
