"""What a report of a fault needs is printed, and said in one place each."""

import platform
import re
import tomllib

import numba

import minisca
from minisca import versions
from tests.support.script_runs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_versions_threads_vectors_and_backends_are_printed(capsys):
    minisca.show_versions()
    lines = capsys.readouterr().out.splitlines()
    found = dict(re.fullmatch(r" *([\w-]+): (.+)", line).groups() for line in lines)
    assert found["minisca"] == minisca.__version__
    assert found["python"] == platform.python_version()
    assert found["numba"] == numba.__version__
    assert re.fullmatch(r"(16|32|64) bytes", found["vectors"])
    assert re.fullmatch(r"1|\d+, of \w+", found["threads"])
    assert found["cpu"] == "runs here"
    assert {"cupy", "numba_cuda", "scipy", "llvmlite", "tqdm", "system"} <= set(found)


def test_a_backend_that_does_not_run_says_why(monkeypatch):
    def fail(name):
        raise RuntimeError(f"{name} found no CUDA device")

    monkeypatch.setattr(minisca.backends, "get_backend", fail)
    monkeypatch.setattr(versions, "_version", lambda name: None)
    found = versions.described()
    assert found["cupy"] == "does not run here: cupy found no CUDA device"
    assert found["numpy"] is None
    assert "torch" not in found


def test_the_version_is_said_in_one_place():
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    assert "version:" not in (ROOT / "CITATION.cff").read_text("utf-8").replace("cff-version:", "")


def test_every_extra_is_in_the_table():
    page = (ROOT / "reference" / "installing.md").read_text("utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(PROJECT["optional-dependencies"])


def test_software_and_paper_can_be_cited():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    for line in ("cff-version: 1.2.0", "title:", "authors:", "arXiv:1409.2752v1", "Makhzani"):
        assert line in text
