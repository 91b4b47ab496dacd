"""A study's file of runs and its claims: nothing is lost, nothing is run by two processes."""

import json
import os
import subprocess
import sys
import threading

import pytest

from tests.support.script_runs import ROOT, import_script


@pytest.fixture
def runs_module(monkeypatch):
    return import_script(monkeypatch, "studies.runs")


def test_lines_appended_at_once_are_all_whole(runs_module, tmp_path):
    runs = runs_module.Runs(tmp_path)

    def append(writer):
        for number in range(20):
            runs.append({"key": f"{writer}-{number}", "text": "x" * 500})

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs.path.read_text().splitlines()) == len(runs.finished()) == 80


def test_a_line_waits_for_another_that_is_half_written(runs_module, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    runs = runs_module.Runs(tmp_path)
    with open(runs.path, "ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'{"key": "a", ')
        second = threading.Thread(target=runs.append, args=({"key": "b"},))
        second.start()
        second.join(0.2)  # long enough to spoil the line, if it does not wait
        file.write(b'"text": "x"}\n')
    second.join()
    assert runs.path.read_text() == '{"key": "a", "text": "x"}\n{"key": "b"}\n'


def test_half_a_line_is_passed_over_and_does_not_spoil_the_next(runs_module, tmp_path):
    runs = runs_module.Runs(tmp_path)
    runs.append({"key": "a"})
    with open(runs.path, "ab") as file:
        file.write(b'{"key": "b", "sec')
    runs.append({"key": "c"})
    assert list(runs.finished()) == ["a", "c"]


def test_a_claim_is_one_processs_until_its_block_ends(runs_module, tmp_path):
    first, second = runs_module.Runs(tmp_path), runs_module.Runs(tmp_path)
    with first.claim("layer") as ours:
        assert ours
        with second.claim("layer") as theirs, second.claim("other") as free:
            assert (theirs, free) == (False, True)
        assert (tmp_path / "claims" / "layer.claim").exists()
    with second.claim("layer") as theirs:
        assert theirs
    assert not list((tmp_path / "claims").iterdir())


def test_the_claim_of_a_dead_process_is_taken_over_by_one_alone(runs_module, tmp_path):
    code = (
        "import sys, os; sys.path.insert(0, 'scripts'); from studies.runs import Runs\n"
        "with Runs(sys.argv[1]).claim('layer'): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=False)
    claim = tmp_path / "claims" / "layer.claim"
    old = json.loads(claim.read_bytes())
    with runs_module.Runs(tmp_path).claim("layer") as ours:
        assert ours
        assert json.loads(claim.read_bytes())["pid"] == os.getpid()
        # Another process that had read the old claim before may not take this one over.
        right = claim.with_suffix(f".{old['token']}.taken-over")
        assert not runs_module._create(right, b"")
        with runs_module.Runs(tmp_path).claim("layer") as theirs:
            assert not theirs
    assert not list((tmp_path / "claims").iterdir())


def test_another_machines_claim_holds_until_it_is_old(runs_module, tmp_path, monkeypatch):
    claim = {"token": "t", "host": "elsewhere", "pid": 1, "started": 1000.0}
    for now, stale in ((2000.0, False), (1001.0 + runs_module.STALE_SECONDS, True)):
        monkeypatch.setattr(runs_module.time, "time", lambda now=now: now)
        assert runs_module._is_stale(claim) is stale
