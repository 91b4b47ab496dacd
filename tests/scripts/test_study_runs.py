"""A study's file of runs and its locks: nothing is lost, nothing is made by two processes."""

import subprocess
import sys
import threading

from studies.runs import Runs, lock

from tests.support.script_runs import ROOT


def test_lines_appended_at_once_are_all_whole(tmp_path):
    runs = Runs(tmp_path)

    def append(writer):
        for number in range(20):
            runs.append({"key": f"{writer}-{number}", "text": "x" * 500})

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs.path.read_text().splitlines()) == len(runs.finished()) == 80


def test_a_line_waits_for_another_that_is_half_written(tmp_path):
    runs = Runs(tmp_path)
    with lock(runs.path), open(runs.path, "ab", buffering=0) as file:
        file.write(b'{"key": "a", ')
        second = threading.Thread(target=runs.append, args=({"key": "b"},))
        second.start()
        second.join(0.2)  # long enough to spoil the line, if it does not wait
        file.write(b'"text": "x"}\n')
    second.join()
    assert runs.path.read_text() == '{"key": "a", "text": "x"}\n{"key": "b"}\n'


def test_half_a_line_is_passed_over_and_does_not_spoil_the_next(tmp_path):
    runs = Runs(tmp_path)
    runs.append({"key": "a"})
    with open(runs.path, "ab") as file:
        file.write(b'{"key": "b", "sec')
    runs.append({"key": "c"})
    assert list(runs.finished()) == ["a", "c"]


HOLD = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "scripts")!r})
from studies.runs import Runs
with Runs(sys.argv[1]).hold("layer") as ours:
    print(ours, flush=True)
    time.sleep(600)
"""


def test_what_a_process_holds_is_its_alone_until_it_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"True\n"
        runs = Runs(tmp_path)
        with runs.hold("layer") as ours, runs.hold("other") as free:
            assert (ours, free) == (False, True)
    finally:
        process.kill()
        process.communicate()
    with runs.hold("layer") as ours:
        assert ours


def test_who_waits_gets_what_another_lets_go_of(tmp_path):
    found = []

    def wait():
        with Runs(tmp_path).hold("layer", wait=True) as ours:
            found.append(ours)

    with Runs(tmp_path).hold("layer") as ours:
        assert ours
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert not found
    waiting.join(60)
    assert found == [True]
