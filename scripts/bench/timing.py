"""Timing that can be believed: calls take turns, and medians of many rounds are what counts.

Whatever else the machine does meanwhile, and however its clock drifts, then meets every call alike.
"""

import time

import numpy as np

from minisca.progress import progress


def take_turns(machine, calls, repetitions, limits=None, description=""):
    """Seconds of each of `calls`, {name: function}, in turn, `repetitions` times after a warm-up.

    A fast call is repeated within its turn, after one that does not count.

    limits: {name: most repetitions} for slow calls, which are also taken to be warmed up already.

    Returns {name: [seconds of a call, ...]}.
    """
    limits = limits or {}
    counts = {
        name: 1 if name in limits else _calls_a_turn(machine, call) for name, call in calls.items()
    }
    seconds = {name: [] for name in calls}
    for turn in progress(True, range(repetitions), desc=description, leave=False):
        for name, call in calls.items():
            if turn >= limits.get(name, repetitions):
                continue
            time.sleep(machine.pause_seconds)
            if counts[name] > 1:
                call()  # not counted: it wakes the threads, and finds the last call's data in cache
            seconds[name].append(machine.seconds(call, counts[name]))
    return seconds


def _calls_a_turn(machine, call):
    """Warm up: once for what is compiled and allocated, then to see how long a call takes."""
    call()
    if machine.least_seconds == 0:  # in a hurry
        return 1
    spent = machine.seconds(call, 1)
    if spent < machine.least_seconds:
        spent = min(spent, *(machine.seconds(call, 1) for _ in range(3)))
    return max(1, round(machine.least_seconds / max(spent, 1e-6)))


def median(values):
    """The median as a float; None of nothing."""
    return float(np.median(values)) if len(values) else None


def medians(seconds):
    """{name: the median} of {name: values}."""
    return {name: median(values) for name, values in seconds.items()}


def milliseconds(seconds):
    """Three digits of them, or all before the point, as text; None of None."""
    return seconds and (f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}")


def times(multiple, digits=1):
    """A multiple as text; None of None."""
    return multiple and f"{multiple:.{digits}f} x"
