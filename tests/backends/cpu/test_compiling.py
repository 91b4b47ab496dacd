"""Kernels are compiled in one place, once for all numbers, and anew when any of their files is."""

import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

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


@kernel
def _scaled(out, factor):
    return out[0] * factor


@kernel
def _scale_twice(piece, out):
    out[1] = _scaled(out, 3) + _scaled(out, piece)


def test_a_number_written_out_is_not_compiled_apart():
    out = np.ones(2)
    in_parallel(_scale_twice, 1, out)
    assert out[1] == 3
    assert len(_scaled.signatures) == 1


FIRST_RUN = """
from pathlib import Path
import minisca
from minisca.backends.cpu.kernels.slices import slice_channels
print(len(list(Path(minisca.__file__).parent.rglob("*.nbi"))), end=" ")
print(slice_channels(40), sum(slice_channels.stats.cache_hits.values()))
"""


def run(root, **environment):
    """What the package under `root` prints: kernels on disk, a result of two files, cache hits."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    environment = {**kept, "PYTHONPATH": str(root), **environment}
    command = [sys.executable, "-c", FIRST_RUN]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


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
    file = copied / "minisca" / "chunks.py"
    edited = file.read_text().replace("return -(-a // b)\n", "return -(-a // b) + 1\n")
    file.write_text(edited)
    assert run(copied)[1:] == [11, 0]


def test_a_package_that_cannot_be_written_to_keeps_its_kernels_in_the_users_cache(copied, tmp_path):
    for folder in {file.parent for file in copied.rglob("*.py")}:
        (folder / "__pycache__").touch()  # a file, where a folder would have to be
    users = {"XDG_CACHE_HOME": str(tmp_path / "users")}
    assert run(copied, **users) == [0, 14, 0]
    assert run(copied, **users) == [0, 14, 1]
    assert list((tmp_path / "users").rglob("slices.slice_channels*.nbi"))


def names_a_module_that_moved(_):
    return pickle.dumps(numba.__version__) + b"cminisca.moved\nname\n."


@pytest.mark.parametrize(
    ("files", "damage"),
    [
        ("*.nbi", names_a_module_that_moved),
        ("*.nbi", lambda content: content[:-9]),
        ("*.nbi", lambda content: b""),
        ("*.nbc", lambda content: content[:-9]),
    ],
)
def test_compiled_kernels_that_cannot_be_read_are_compiled_anew(copied, files, damage):
    run(copied)
    for file in copied.rglob(files):
        file.write_bytes(damage(file.read_bytes()))
    assert run(copied)[1:] == [14, 0]
    assert run(copied)[1:] == [14, 1]
