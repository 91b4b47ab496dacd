"""Timing that can be believed: calls take turns, medians of many rounds, the machine's own peak.

Whatever else the machine does meanwhile, and however its clock drifts, then meets every call alike.
"""

import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

#: A repetition calls a fast function again and again until about so much time has passed.
LEAST_SECONDS = 0.05
#: Before a repetition: threads of the call before, which wait in a loop for a while, fall asleep.
PAUSE_SECONDS = 0.1


def take_turns(calls, repetitions, limits=None, description=""):
    """Seconds of each of `calls`, {name: function}, in turn, `repetitions` times after a warm-up.

    A fast call is repeated within its turn, after one that does not count.

    limits: {name: most repetitions} for slow calls, which are also taken to be warmed up already.
    A call may return {phase: seconds}, which is then kept beside its own time.

    Returns {name: [seconds of a call, ...]} and {name: {phase: [seconds, ...]}}.
    """
    limits = limits or {}
    counts = {name: 1 if name in limits else _calls_a_turn(call) for name, call in calls.items()}
    seconds, phases = {name: [] for name in calls}, {}
    for turn in tqdm(range(repetitions), description, leave=False, disable=None):
        for name, call in calls.items():
            if turn >= limits.get(name, repetitions):
                continue
            time.sleep(PAUSE_SECONDS)
            if counts[name] > 1:
                call()  # not counted: it wakes the threads, and finds the last call's data in cache
            spent, parts = _repeat(call, counts[name])
            seconds[name].append(spent)
            for phase, value in parts.items():
                phases.setdefault(name, {}).setdefault(phase, []).append(value)
    return seconds, phases


def _calls_a_turn(call):
    """Warm up: once for what is compiled and allocated, then to see how long a call takes."""
    call()
    spent, _ = _repeat(call, 1)
    if spent < LEAST_SECONDS:
        spent = min(spent, *(_repeat(call, 1)[0] for _ in range(3)))
    return max(1, round(LEAST_SECONDS / max(spent, 1e-6)))


def _repeat(call, count):
    """Mean seconds of a call, and of each phase that it reports."""
    phases = {}
    start = time.perf_counter()
    for _ in range(count):
        parts = call()
        if isinstance(parts, dict):
            for phase, spent in parts.items():
                phases[phase] = phases.get(phase, 0) + spent / count
    return (time.perf_counter() - start) / count, phases


def median(values):
    """The median as a float; None of nothing."""
    return float(np.median(values)) if len(values) else None


def matrix_product(side):
    """A call that multiplies two float32 matrices of `side` x `side`, and its FLOPs."""
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, side, side), np.float32)
    out = np.empty_like(a)

    def multiply():
        np.matmul(a, b, out=out)

    return multiply, 2 * side**3


def caches():
    """The first core's caches, {"L1 data": "32 KiB, a core's own", ...}; empty where unknown."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size, shared = (
            (index / name).read_text().strip()
            for name in ("level", "type", "size", "shared_cpu_list")
        )
        name = f"L{level}" if kind == "Unified" else f"L{level} {kind.lower()}"
        kib = int(size.removesuffix("K"))
        readable = f"{kib} KiB" if kib < 1024 else f"{kib / 1024:g} MiB"
        found[name] = f"{readable}, cores {shared}"
    return found
