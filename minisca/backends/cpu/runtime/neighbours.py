"""How many cores other processes keep busy: threads that wait for those cores wait in vain.

The threads of a loop wait for the last one of them. Where another process has its core, the others
spin meanwhile, and a step in two threads takes many times what it takes in one. So a loop has as
many threads as there are cores to spare. What is computed does not depend on it.

Source: /proc/stat of Linux (`man 5 proc_stat`), the time that all processes have run, less the time
that this one has. Those that are nice give way and do not count. Elsewhere nothing is known, and no
core is taken for busy.
"""

import os
import time

import numpy as np

#: Seconds between two looks.
INTERVAL = 0.25
#: What a user sets to "0" to have all threads whatever others do.
SWITCH = "MINISCA_SPARE_CORES"
#: Asked once: it takes as long as a small loop.
CORES = os.cpu_count() or 1


class Neighbours:
    """Looks now and then; `busy_cores` is what it saw last.

    run(): the seconds that all processes have run so far, or None; own(): of these, the seconds of
    this one; now(): the time.
    """

    def __init__(self, run, own, now=time.monotonic):
        self._run, self._own, self._now = run, own, now
        self._last = None  # when, what all had run then, and this one
        self._busy = 0.0

    def busy_cores(self):
        """How many cores the others kept busy, on average, between the last two looks."""
        now = self._now()
        if self._last is None or now - self._last[0] >= INTERVAL:
            found = self._run()
            if found is None:
                return 0.0
            seen = now, found, self._own()
            if self._last is not None:
                passed, of_all, of_own = np.subtract(seen, self._last)
                self._busy = max(0.0, (of_all - of_own) / passed)
            self._last = seen
        return self._busy

    def forget(self):
        """Begin anew: what a process has run so far, a child that it forks has not."""
        self._last, self._busy = None, 0.0


def seconds_run():
    """Seconds that all processes but nice ones have run, or None where the system does not say."""
    try:
        with open("/proc/stat") as file:
            user, _, system = map(int, file.readline().split()[1:4])
    except (OSError, ValueError):
        return None
    return (user + system) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """Of those, the seconds of this process: none where it is nice itself."""
    return 0.0 if os.getpriority(os.PRIO_PROCESS, 0) > 0 else time.process_time()


def spared(limit, busy_cores, cores):
    """How many of at most `limit` threads find a core, of so many, that nobody else keeps busy."""
    return limit if busy_cores < 0.5 else max(1, min(limit, round(cores - busy_cores)))


_neighbours = Neighbours(
    seconds_run if os.environ.get(SWITCH) != "0" else lambda: None, own_seconds
)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_neighbours.forget)


def spare_threads(limit):
    """`limit`, or fewer while others keep cores busy, at least one."""
    return limit if limit == 1 else spared(limit, _neighbours.busy_cores(), CORES)
