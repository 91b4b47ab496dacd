"""A step on a machine that others use: two neighbours, processes that never rest.

In turns one thread and as many as there are. On a busy machine these get no more of the cores than
one would, and wait for each other: what that costs must stay small.
"""

import subprocess
import sys
from contextlib import ExitStack
from functools import partial

import numba
from bench.layers import describe
from bench.timing import medians, milliseconds, take_turns, times
from common.records import print_rows

NEIGHBOURS = 2
#: Of the layers the first: those of steps so short that waiting shows.
LAYERS = 3


def measure_busy(bench, machine):
    """Seconds of a step, by neighbours and threads; the ratio is that of the threads' to one's."""
    layers = {layer.name for layer in bench.layers()[:LAYERS]}

    def measure(layer, step):
        if layer.name not in layers:
            return None

        def on_threads(threads):
            numba.set_num_threads(threads)
            step()

        calls = {str(n): partial(on_threads, n) for n in sorted({1, bench.threads})}
        found = {}
        for neighbours in (0, NEIGHBOURS):
            with beside(neighbours):
                try:
                    seconds = take_turns(machine, calls, bench.repetitions, None, layer.name)
                finally:
                    numba.set_num_threads(bench.threads)
            middle = medians(seconds)
            ratio = middle[str(bench.threads)] / middle["1"]
            found[str(neighbours)] = {"seconds": seconds, "median_seconds": middle, "ratio": ratio}
        return {**describe(layer), "beside": found}

    result = bench.each_layer(machine, measure)
    return {"layers": [*filter(None, result["layers"])], "threads": bench.threads}


def beside(count):
    """A context in which so many processes do nothing but run."""
    stack = ExitStack()
    for _ in range(count):
        child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        stack.callback(child.wait)
        stack.callback(child.kill)
    return stack


def report_busy(result):
    rows = []
    for layer in result["layers"]:
        for neighbours, found in layer["beside"].items():
            one, all_threads = found["median_seconds"]["1"], found["median_seconds"]
            row = {"busy neighbours, ms a step": layer["layer"], "neighbours": neighbours}
            row["1 thread"] = milliseconds(one)
            row[f"{result['threads']} threads"] = milliseconds(all_threads[str(result["threads"])])
            rows.append(row | {"of one thread": times(found["ratio"], 2)})
    print_rows(rows)
