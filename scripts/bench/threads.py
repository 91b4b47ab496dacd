"""One level of parallelism: what two threads gain over one, and that one thread is one core.

The first by Numba's own switch, in turns within this process; the second in processes of their own,
by CPU time over wall time, for each of the ways in which a user limits threads.
"""

import contextlib
import time

import numba
import numpy as np
from bench.children import answer, run_child
from bench.layers import LAYERS, Step, describe, load_digits, make_images, make_parameters
from bench.timing import medians, milliseconds, take_turns, times
from common.records import print_rows

from minisca.backends import get_backend

#: How a process may be told to use one thread: environment variables, or threadpoolctl within it.
VARIABLES = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LIMITS = {
    "nothing": {},
    "NUMBA_NUM_THREADS=1": {"NUMBA_NUM_THREADS": 1},
    "OPENBLAS_NUM_THREADS=1": {"OPENBLAS_NUM_THREADS": 1},
    "both": dict.fromkeys(VARIABLES, 1),
    "threadpoolctl": {},
}
CHILD_SECONDS = 2.0


def measure_threads(bench, machine):
    two = min(2, bench.threads)
    layers = []
    for layer, step in bench.steps(machine):
        calls = {
            str(threads): lambda step=step, threads=threads: _on_threads(step, threads)
            for threads in sorted({1, two})
        }
        try:
            identical = _same_bits(step, (1, two, two))
            seconds = take_turns(machine, calls, bench.repetitions, description=layer.name)
        finally:
            numba.set_num_threads(bench.threads)
        middle = medians(seconds)
        found = {**describe(layer), "seconds": seconds, "median_seconds": middle}
        found |= {"speed_up": middle["1"] / middle[str(two)], "same_bits": identical}
        one_core = _child(bench, layer, "both")["cores_used"]
        layers.append(found | {"cores_used_by_one_thread": one_core})
    limits = {limit: _child(bench, LAYERS[0], limit) for limit in LIMITS}
    return {"layers": layers, "threads": two, "limits": limits}


def _on_threads(step, threads):
    numba.set_num_threads(threads)
    step()


def _same_bits(step, runs):
    """Whether loss and gradients are the same to the bit in runs on so many threads."""
    results = []
    for threads in runs:
        numba.set_num_threads(threads)
        loss, gradients = step.loss_and_gradients()
        results.append([np.float64(loss).tobytes(), *(g.tobytes() for g in gradients.values())])
    return all(result == results[0] for result in results)


def _child(bench, layer, limit):
    """What a process that is limited in this way uses for the layer's steps."""
    task = {"layer": layer.name, "tiny": bench.tiny, "data_dir": bench.data_dir}
    task["threadpoolctl"] = limit == "threadpoolctl"
    return run_child("bench.threads", task, **dict.fromkeys(VARIABLES) | LIMITS[limit])


def report_threads(result):
    two = str(result["threads"])
    print_rows(
        [
            {
                "threads, ms a step": layer["layer"],
                "1 thread": milliseconds(layer["median_seconds"]["1"]),
                f"{two} threads": milliseconds(layer["median_seconds"][two]),
                "faster": times(layer["speed_up"], 2),
                "cores used by 1": f"{layer['cores_used_by_one_thread']:.2f}",
                "results": "same" if layer["same_bits"] else "DIFFERENT",
            }
            for layer in result["layers"]
        ]
    )
    print()
    print_rows(
        [
            {
                "threads limited by": limit,
                "cores used": found["cores_used"] and f"{found['cores_used']:.2f}",
                "Numba's threads": found["threading_layer"],
                "warnings": found["stderr"] or "none",
            }
            for limit, found in result["limits"].items()
        ]
    )


def use_cores(task):
    """In a child: CPU time over wall time of training steps, after a warm-up."""
    layer = next(layer for layer in LAYERS if layer.name == task["layer"])
    layer = layer.tiny() if task["tiny"] else layer
    images = make_images(layer, load_digits(task["data_dir"]))
    step = Step(get_backend("cpu"), images, make_parameters(layer))
    limit = contextlib.nullcontext()
    if task.get("threadpoolctl"):
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            return {"cores_used": None, "threading_layer": "threadpoolctl is not installed"}
        limit = threadpool_limits(1)
    with limit:
        step()
        steps, wall, cpu = 0, time.perf_counter(), time.process_time()
        while steps < 3 or time.perf_counter() - wall < (0.1 if task["tiny"] else CHILD_SECONDS):
            step()
            steps += 1
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    used = {"cores_used": cpu / wall, "steps": steps}
    return used | {"threading_layer": numba.threading_layer()}


if __name__ == "__main__":
    answer(use_cores)
