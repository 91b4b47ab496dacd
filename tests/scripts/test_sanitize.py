"""The sanitizer's selection, by a stand-in of the sanitizer: what is run, what counts as found."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import sanitize

from tests.support.script_runs import ROOT


@pytest.fixture
def run(monkeypatch):
    """Run the script; racecheck alone finds something. Returns the commands and how it ended."""
    commands = []

    def stand_in(command, **_):
        commands.append(command)
        found = "racecheck" in command
        said = f"3 passed, 4 deselected in 1s\n========= ERROR SUMMARY: {int(found)} errors\n"
        return SimpleNamespace(returncode=int(found), stdout=said, stderr="")

    def start(*options):
        monkeypatch.setattr(sanitize, "subprocess", SimpleNamespace(run=stand_in))
        monkeypatch.setattr(sanitize.shutil, "which", lambda name: f"/bin/{name}")
        monkeypatch.setattr("sys.argv", ["sanitize.py", *options])
        return commands, sanitize.main()

    return start


def test_every_tool_runs_the_selection_and_one_that_finds_something_is_named(run, capsys):
    commands, ended = run()
    assert [command[2] for command in commands] == [*sanitize.TOOLS]
    assert ended == "found by racecheck"
    printed = capsys.readouterr().out
    assert "memcheck: 3 passed, 4 deselected in 1s; ERROR SUMMARY: 0 errors" in printed
    assert run("--tools", "memcheck")[1] == 0


def test_without_a_sanitizer_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(sanitize.shutil, "which", lambda name: None)
    monkeypatch.setattr("sys.argv", ["sanitize.py"])
    assert "compute-sanitizer is not installed" in sanitize.main()


def test_the_selection_selects_tests():
    """Where there is no device, of those that the emulator runs in its place."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.no_pool"]
    command += ["--collect-only", *sanitize.TESTS, "-k", f"cupy and {sanitize.SIZES}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for size in ("28x28", "10x10-16x5", "17x4x7"):
        assert size in done.stdout, size
