"""What two threads gain over one, by Numba's own switch, in turns within this process.

That results are the same to the bit, and that limits on threads are kept, is for the tests to say.
"""

from functools import partial

import numba
from bench.layers import describe
from bench.timing import medians, milliseconds, take_turns, times
from common.records import print_rows


def measure_threads(bench, machine):
    two = min(2, bench.threads)

    def measure(layer, step):
        def on_threads(threads):
            numba.set_num_threads(threads)
            step()

        calls = {str(threads): partial(on_threads, threads) for threads in sorted({1, two})}
        try:
            seconds = take_turns(machine, calls, bench.repetitions, description=layer.name)
        finally:
            numba.set_num_threads(bench.threads)
        middle = medians(seconds)
        found = {**describe(layer), "seconds": seconds, "median_seconds": middle}
        return found | {"speed_up": middle["1"] / middle[str(two)]}

    return bench.each_layer(machine, measure) | {"threads": two}


def report_threads(result):
    two = str(result["threads"])
    rows = []
    for layer in result["layers"]:
        one_thread, two_threads = (milliseconds(layer["median_seconds"][n]) for n in ("1", two))
        row = {"threads, ms a step": layer["layer"], "1 thread": one_thread}
        rows.append(row | {f"{two} threads": two_threads, "faster": times(layer["speed_up"], 2)})
    print_rows(rows)
