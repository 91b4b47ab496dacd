"""Kernels are compiled in one place, once for all numbers, and anew when any of their files is."""

import errno
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest
from numba.core import caching

import minisca
from minisca.backends.cpu.runtime import compiling, in_parallel, kernel
from tests.test_contract import imported

PACKAGE = Path(minisca.__file__).parent
SCRIPTS = PACKAGE.parent / "scripts"
#: Where Numba's and llvmlite's private parts may be used; its compiler for GPUs is of another kind.
INSIDES = [PACKAGE / "backends" / folder for folder in ("cpu/runtime", "cpu/vectors", "numba_cuda")]
PRIVATE = re.compile(r"(llvmlite|numba\.(core|extending|misc|np))\b")


def test_private_parts_of_numba_are_imported_in_two_folders_only():
    for file in [*PACKAGE.rglob("*.py"), *SCRIPTS.rglob("*.py")]:
        if not any(folder in file.parents for folder in INSIDES):
            assert not [name for name in imported(file) if PRIVATE.match(str(name))], file


def test_kernels_are_compiled_in_one_place_only():
    callers = [file for file in PACKAGE.rglob("*.py") if "njit" in file.read_text("utf-8")]
    assert callers == [Path(compiling.__file__)]


def scaling_kernels():
    """One kernel that calls another one with a number written out and with a variable; both."""

    @kernel
    def scaled(out, factor):
        return out[0] * factor

    @kernel
    def scale_twice(piece, out):
        out[1] = scaled(out, 3) + scaled(out, piece)

    for each in (scaled, scale_twice):
        each._cache = caching.NullCache()  # what is found compiled has no signatures
    return scaled, scale_twice


def test_a_number_written_out_is_not_compiled_apart():
    scaled, scale_twice = scaling_kernels()
    out = np.ones(2)
    in_parallel(scale_twice, 1, out)
    assert out[1] == 3
    assert len(scaled.signatures) == 1


FIRST_RUN = """
from pathlib import Path
import minisca
from minisca.backends.cpu.kernels.slices import slice_channels
print(len(list(Path(minisca.__file__).parent.rglob("*.nbc"))), end=" ")
print(slice_channels(40), sum(slice_channels.stats.cache_hits.values()))
"""


def run(root, **environment):
    """What the package under `root` prints: kernels on disk, a result of two files, cache hits."""
    return [int(number) for number in run_child(root, FIRST_RUN, **environment).stdout.split()]


def run_child(root, script, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    environment = {**kept, "PYTHONPATH": str(root), **environment}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def copied(tmp_path):
    """A folder with a copy of the package, without anything compiled."""
    ignored = shutil.ignore_patterns("__pycache__", "*.npz")
    shutil.copytree(PACKAGE, tmp_path / "minisca", ignore=ignored)
    return tmp_path


def test_who_edits_an_inlined_function_of_another_file_sees_the_new_result(copied):
    """slice_channels(40) = ceil(40 / ceil(40 / 16)), by `ceil_div` of another file."""
    assert run(copied) == [0, 14, 0]  # to import compiles nothing
    kernels, *result = run(copied)
    assert kernels > 0
    assert result == [14, 1]
    before = kept_files(copied)
    file = copied / "minisca" / "chunks.py"
    edited = file.read_text().replace("return -(-a // b)\n", "return -(-a // b) + 1\n")
    file.write_text(edited)
    assert run(copied)[1:] == [11, 0]
    after = kept_files(copied)
    assert len(after) == len(before)  # what is stale is removed
    assert after.isdisjoint(before)


def kept_files(folder):
    return {file.name for file in folder.rglob("*.nb?")}


def test_the_files_that_renew_all_kernels_are_all_that_a_kernel_is_made_of():
    sources = {path for pattern in compiling.SOURCES for path in PACKAGE.glob(pattern)}
    for path in PACKAGE.rglob("*.py"):
        if "@runtime.kernel" in path.read_text() or "@kernel" in path.read_text():
            name = path.relative_to(PACKAGE.parent).with_suffix("")
            importlib.import_module(".".join(name.parts))
    modules = [module for name, module in sys.modules.items() if name.startswith("minisca.")]
    modules = [module for module in modules if "numba_cuda" not in module.__name__]
    found = [each for module in modules for each in vars(module).values()]
    functions = {each.py_func for each in found if hasattr(each, "py_func")}
    assert len(functions) > 30
    for function in functions:
        used = [function.__globals__.get(name) for name in function.__code__.co_names]
        for each in [function, *(getattr(one, "py_func", one) for one in used)]:
            module = each if isinstance(each, ModuleType) else inspect.getmodule(each)
            if module is not None and module.__name__.startswith("minisca"):
                assert Path(module.__file__) in sources


@pytest.fixture
def unwritable(copied):
    """The same where nothing can be written."""
    for folder in {file.parent for file in copied.rglob("*.py")}:
        (folder / "__pycache__").touch()  # a file, where a folder would have to be
    return copied


def test_a_package_that_cannot_be_written_to_keeps_its_kernels_in_the_users_cache(
    unwritable, tmp_path
):
    users = {"XDG_CACHE_HOME": str(tmp_path / "users")}
    assert run(unwritable, **users)[1:] == [14, 0]
    assert run(unwritable, **users)[1:] == [14, 1]
    assert list((tmp_path / "users").rglob("slices.slice_channels*.nbc"))


def test_where_nothing_can_be_written_kernels_are_compiled_with_one_warning(unwritable):
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": f"{os.devnull}/x", "LOCALAPPDATA": os.devnull}
    done = run_child(unwritable, FIRST_RUN, **nowhere)
    assert done.stdout.split() == ["0", "14", "0"]
    assert done.stderr.count("RuntimeWarning") == 1
    assert done.stderr.count("NUMBA_CACHE_DIR") == 1


def unpicklable(path, content):
    """With a sound checksum, and the name of a module that has moved."""
    compiled = b"cminisca.moved\nname\n."
    return compiling.checksum(path, compiled) + compiled


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, content: content[:-9],
        lambda path, content: b"",
        lambda path, content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
        unpicklable,
    ],
)
def test_compiled_kernels_that_cannot_be_read_are_compiled_anew(copied, damage):
    run(copied)
    for file in copied.rglob("*.nbc"):
        file.write_bytes(damage(file, file.read_bytes()))
    assert run(copied)[1:] == [14, 0]
    assert run(copied)[1:] == [14, 1]


def _double(x):
    return 2 * x


@pytest.fixture
def doubled(monkeypatch, tmp_path):
    """Makes kernels of one function, as many processes would that share an empty folder."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return lambda: kernel(_double)


def test_two_that_fill_an_empty_cache_at_once_leave_it_right(doubled, monkeypatch, tmp_path):
    """One is about to write when the other writes what it compiled for other types."""
    first, second, third = doubled(), doubled(), doubled()
    write = compiling.atomic_write

    def overtaken(path):
        monkeypatch.setattr(compiling, "atomic_write", write)
        assert second(1.5) == 3
        return write(path)

    monkeypatch.setattr(compiling, "atomic_write", overtaken)
    assert first(2) == 4
    assert len(kept_files(tmp_path)) == 2
    assert (third(2), third(1.5)) == (4, 3)
    assert sum(third.stats.cache_hits.values()) == 2


def test_one_types_code_under_anothers_name_is_not_run(doubled, tmp_path):
    assert (doubled()(2), doubled()(1.5)) == (4, 3)
    one, other = tmp_path.rglob("*.nbc")
    swapped = other.read_bytes(), one.read_bytes()
    one.write_bytes(swapped[0])
    other.write_bytes(swapped[1])
    again = doubled()
    assert (again(2), again(1.5)) == (4, 3)
    assert not again.stats.cache_hits


def test_a_full_disk_stops_nothing_and_is_said_once(doubled, monkeypatch, tmp_path):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(compiling, "atomic_write", full)
    monkeypatch.setattr(compiling, "_warned", [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert (doubled()(2), doubled()(1.5)) == (4, 3)
    assert ["NUMBA_CACHE_DIR" in str(each.message) for each in caught] == [True]
    assert not kept_files(tmp_path)


def test_without_a_compiler_the_package_is_imported_and_its_kernels_are_refused():
    script = """
import minisca, minisca.backends
try:
    minisca.backends.get_backend("cpu")
except RuntimeError as error:
    print(error)
"""
    done = run_child(PACKAGE.parent, script, NUMBA_DISABLE_JIT="1")
    assert "NUMBA_DISABLE_JIT" in done.stdout
