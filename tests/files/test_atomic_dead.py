"""Temporary files of killed writers are removed by the next write of the same file, others not."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from minisca.files import atomic
from minisca.files.atomic import atomic_write

ROOT = Path(__file__).parents[2]
WRITE = """
import sys, time
from minisca.files.atomic import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("half", flush=True)
    time.sleep(600)
"""

posix_only = pytest.mark.skipif(os.name != "posix", reason="locks on open files are POSIX's")


@pytest.fixture
def writer(tmp_path):
    """A process that is in the middle of writing a.bin; what it writes to."""
    command = [sys.executable, "-c", WRITE, tmp_path / "a.bin"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout.readline() == b"half\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def write(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)


def partial(folder):
    return sorted(path.name for path in folder.glob(".*.partial"))


@posix_only
def test_a_killed_writers_file_goes_and_a_living_ones_stays(writer, tmp_path):
    living = partial(tmp_path)
    assert len(living) == 1
    assert "a.bin" in living[0]
    write(tmp_path / "a.bin")
    assert partial(tmp_path) == living
    writer.kill()
    writer.wait()
    write(tmp_path / "b.bin")  # another name's writers are not its business
    assert partial(tmp_path) == living
    write(tmp_path / "a.bin", b"newer")
    assert partial(tmp_path) == []
    assert (tmp_path / "a.bin").read_bytes() == b"newer"


@posix_only
def test_a_writer_whose_file_is_taken_before_it_is_locked_begins_again(tmp_path, monkeypatch):
    flock, taken = atomic.fcntl.flock, []

    def late(descriptor, operation):
        if not taken:  # as another process does it that comes between creation and lock
            taken.extend(tmp_path.glob(".*.partial"))
            taken[0].unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(atomic.fcntl, "flock", late)
    write(tmp_path / "a.bin")
    assert len(taken) == 1
    assert os.listdir(tmp_path) == ["a.bin"]


def leave(folder, host, age):
    """A temporary file of a.bin as a process of that machine leaves it; nobody holds a lock."""
    before = set(partial(folder))
    with atomic_write(folder / "a.bin"):
        (name,) = set(partial(folder)) - before
    path = folder / name.replace(atomic._HOST, host)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize(("age", "stays"), [(30, True), (2 * atomic.DAY, False)])
def test_another_machines_file_goes_by_its_age(tmp_path, age, stays):
    left = leave(tmp_path, "0" * 8, age)
    write(tmp_path / "a.bin")
    assert left.exists() == stays


@pytest.mark.parametrize("gone", ["locks", "fcntl"])
def test_where_there_are_no_locks_age_tells_too(tmp_path, monkeypatch, gone):
    if gone == "fcntl":
        monkeypatch.setattr(atomic, "fcntl", None)
    elif atomic.fcntl is None:
        pytest.skip("locks on open files are POSIX's")
    else:

        def refuse(descriptor, operation):
            raise OSError(37, "No locks available")

        monkeypatch.setattr(atomic.fcntl, "flock", refuse)
    young, old = (leave(tmp_path, atomic._HOST, age) for age in (10, 2 * atomic.DAY))
    write(tmp_path / "a.bin")
    assert young.exists()
    assert not old.exists()


def test_threads_that_write_one_file_at_once_leave_one_whole_file(tmp_path):
    contents, errors = [bytes([number]) * 100_000 for number in range(8)], []

    def work(content):
        try:
            for _ in range(10):
                write(tmp_path / "a.bin", content)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() in contents


@posix_only
def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("rename"), replace(*paths)))

    def noted(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}") if os.path.exists("/proc") else ""
        done.append("folder" if path == str(tmp_path) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write(tmp_path / "a.bin")
    assert done in (["file", "rename", "folder"], ["file", "rename", "file"])  # no /proc
