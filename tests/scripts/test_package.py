"""What is distributed: a wheel with the library alone, a source archive with all that is kept."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import minisca
from tests.support.script_runs import ROOT

BUILD = "from setuptools import build_meta as b; b.build_wheel('out'); b.build_sdist('out')"
BUILD_EDITABLE = "from setuptools import build_meta as b; b.build_editable('editable')"
#: Where `import minisca` finds it once the given folder is one of installed packages.
FIND = "import importlib.util as u, site, sys; site.addsitedir(sys.argv[1]); "
FIND += "print(u.find_spec('minisca').origin)"


def python(*arguments, cwd):
    """What a child prints."""
    command = [sys.executable, *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(command, cwd=cwd, check=True, **options).stdout


@pytest.fixture(scope="module")
def cloned(tmp_path_factory):
    """A copy of the project in a folder of its name, and the tracked files that it has."""
    pytest.importorskip("setuptools", "77", reason="to build takes setuptools 77 or later")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("this is no git repository: nothing says which files are the project's")
    tracked = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    clone = tmp_path_factory.mktemp("above") / "minisca"
    for name in tracked:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, clone / name)
    return clone, tracked


@pytest.fixture(scope="module")
def built(cloned):
    """The tracked files, and the files of the wheel and the source distribution made of them."""
    clone, tracked = cloned
    # what running the library leaves behind
    (clone / "minisca" / "__pycache__").mkdir()
    for name in ("x.cpython-311.pyc", "x.f-1.py311.nbi", "x.f-1.py311.1.nbc"):
        (clone / "minisca" / "__pycache__" / name).touch()
    python("-c", BUILD, cwd=clone)
    (wheel,), (source,) = (list((clone / "out").glob(kind)) for kind in ("*.whl", "*.tar.gz"))
    with zipfile.ZipFile(wheel) as file:
        wheel_names = set(file.namelist())
        (metadata,) = (name for name in wheel_names if name.endswith("/METADATA"))
        metadata = file.read(metadata).decode()
    with tarfile.open(source) as file:
        names = (member.name for member in file if member.isfile())
        source_names = {name.partition("/")[2] for name in names}
    return tracked, wheel_names, source_names, metadata


def test_the_wheel_holds_the_library_its_kernels_its_sample_and_nothing_else(built):
    tracked, wheel, _, _ = built
    library = {name for name in tracked if name.startswith("minisca/")}
    expected = {name for name in library if not name.endswith("README.md")}
    assert {name for name in wheel if ".dist-info/" not in name} == expected
    assert {name.rpartition(".")[2] for name in expected} == {
        "py",
        "cu",
        "cuh",
        "npz",
        "md",
        "typed",
    }


def test_the_source_distribution_holds_what_its_tests_need_and_nothing_else(built):
    tracked, _, source, _ = built
    made = {name for name in source if re.match(r"PKG-INFO|setup\.cfg|minisca\.egg-info/", name)}
    hidden = {name for name in tracked if name.startswith(".")}  # kept in the repository alone
    assert source - made == set(tracked) - hidden


def test_the_index_shows_a_page_without_links_into_the_repository(built):
    metadata = built[3]
    assert f"Version: {minisca.__version__}\n" in metadata
    for line in ("Author: minisca developers", "License-Expression: MIT", "Keywords: sparse"):
        assert line in metadata
    links = re.findall(r"\]\((.*?)\)", metadata)
    assert links
    assert all(link.startswith("https://") for link in links)


def test_an_editable_install_is_found_from_the_folder_above_the_clone_too(cloned, tmp_path):
    clone, _ = cloned
    python("-c", BUILD_EDITABLE, cwd=clone)
    (wheel,) = (clone / "editable").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path)
    for folder in (clone.parent, clone, tmp_path):
        origin = python("-ES", "-c", FIND, tmp_path, cwd=folder).strip()  # -ES: no other install
        assert (folder / origin).samefile(clone / "minisca" / "__init__.py")
