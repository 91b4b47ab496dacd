"""Loops leave the cores to others that these keep busy, and take them back."""

import subprocess
import sys
import time

import pytest

from minisca.backends.cpu.runtime import neighbours, parallel
from minisca.backends.cpu.runtime.neighbours import INTERVAL, Neighbours, spared


class Machine:
    """A machine whose clocks are set by hand."""

    def __init__(self):
        self.now = self.all = self.own = 0.0

    def passes(self, seconds, own, others):
        """Some time, in which this process and the others keep so many cores busy."""
        self.now += seconds
        self.own += seconds * own
        self.all += seconds * (own + others)


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def seen(machine):
    return Neighbours(lambda: machine.all, lambda: machine.own, lambda: machine.now)


def test_what_others_run_counts_and_what_this_process_runs_does_not(machine, seen):
    assert seen.busy_cores() == 0
    for own, others in ((2, 0), (0, 1.5), (1, 1), (3, 0)):
        machine.passes(1, own, others)
        assert seen.busy_cores() == pytest.approx(others)


def test_it_looks_no_more_often_than_its_interval(machine, seen):
    seen.busy_cores()
    machine.passes(INTERVAL / 2, 1, 1)
    assert seen.busy_cores() == 0
    machine.passes(INTERVAL / 2, 1, 1)
    assert seen.busy_cores() == pytest.approx(1)


def test_a_forked_child_begins_anew(machine, seen):
    seen.busy_cores()
    machine.passes(1, 1, 1)
    assert seen.busy_cores() == pytest.approx(1)
    seen.forget()
    machine.own = 0
    assert seen.busy_cores() == 0
    machine.passes(1, 0, 2)
    assert seen.busy_cores() == pytest.approx(2)


def test_where_the_system_tells_nothing_no_core_is_busy():
    seen = Neighbours(lambda: None, lambda: 0.0)
    assert seen.busy_cores() == seen.busy_cores() == 0


def test_a_nice_process_gives_way_and_a_process_that_is_nice_is_not_among_the_others(monkeypatch):
    monkeypatch.setattr(neighbours.os, "getpriority", lambda which, who: 19)
    assert neighbours.own_seconds() == 0
    monkeypatch.setattr(neighbours.os, "getpriority", lambda which, who: 0)
    assert neighbours.own_seconds() > 0


@pytest.mark.parametrize(
    ("limit", "busy", "cores", "threads"),
    [
        (2, 0, 2, 2),
        (2, 0.4, 2, 2),  # less than half a core is nobody's
        (2, 0.7, 2, 1),
        (2, 1.3, 2, 1),
        (8, 5, 8, 3),
        (4, 3, 8, 4),  # as many as may be, where there are cores for them
        (4, 40, 8, 1),
        (8, 0, 2, 8),  # more threads than cores is the user's choice
    ],
)
def test_threads_are_as_many_as_cores_are_to_spare(limit, busy, cores, threads):
    assert spared(limit, busy, cores) == threads


def test_a_loop_asks(monkeypatch):
    asked = []
    monkeypatch.setattr(parallel, "thread_limit", lambda: 3)
    monkeypatch.setattr(parallel, "spare_threads", lambda limit: asked.append(limit) or 1)
    parallel.in_parallel(_nothing, 2)
    assert asked == [3]


@parallel.kernel
def _nothing(piece):
    pass


@pytest.mark.skipif(neighbours.seconds_run() is None, reason="this system has no /proc/stat")
def test_a_process_that_never_rests_is_seen():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            seen = Neighbours(neighbours.seconds_run, neighbours.own_seconds)
            before = neighbours.seconds_run()
            seen.busy_cores()
            deadline = time.monotonic() + 60
            while neighbours.seconds_run() - before < 1 and time.monotonic() < deadline:
                time.sleep(INTERVAL)
            assert seen.busy_cores() > 0.2  # however many others there are
        finally:
            child.kill()
