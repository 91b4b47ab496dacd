"""Images up to 1024 x 1024 x 3: time of a pixel, and memory beyond the batch and what comes of it.

Each size in a process of its own. Time should be the same for every pixel, and memory stay below a
bound, whatever the size.
"""

import time
from dataclasses import asdict

import numpy as np
from bench.children import MB, PeakMemory, answer, run_child
from bench.layers import Layer, Step, make_images, make_parameters
from bench.timing import median
from common.records import print_rows

SIDES = (64, 128, 256, 512, 1024)
TINY = (16, 32)


def large_layer(side):
    """Four images a batch: at 1024 pixels, 50 MB."""
    return Layer(f"{side} x {side} x 3", "normal", 16, 3, side, 7, batch=4)


def measure_large(bench, machine):
    sides = TINY if bench.tiny else SIDES
    # not counted: a first process compiles what is not compiled yet, which takes memory as well
    tasks = [{"side": side, "repetitions": bench.repetitions} for side in (sides[0], *sides)]
    return {"sizes": [run_child("bench.large", task) for task in tasks][1:]}


def report_large(result):
    rows = []
    for size in result["sizes"]:
        row = {"4 images, 16 maps": size["layer"]["name"]}
        for name, seconds in size["median_seconds"].items():
            row[f"{name}, ns a pixel"] = f"{1e9 * seconds / size['pixels']:.0f}"
        row |= {"batch, MB": f"{size['batch_bytes'] / MB:.1f}"}
        for name, beyond in size["beyond_bytes"].items():
            row[f"{name} beyond, MB"] = round(beyond / MB)
        rows.append(row)
    print_rows(rows)


def measure_size(task):
    """In a child: seconds of a step and of `transform`, and what each takes beyond its arrays."""
    from minisca import SparseConvAutoencoder
    from minisca.backends import get_backend

    layer = large_layer(task["side"])
    x = make_images(layer, None)
    options = {"batch_size": layer.batch, "learning_rate": 1e-6, "random_state": 0}
    options |= {"n_epochs": 1, "verbose": False, "backend": "cpu"}
    made = SparseConvAutoencoder(layer.n_maps, layer.width, *layer.pool, **options)
    small = make_images(large_layer(TINY[0]), None)
    made.fit(small).transform(small)  # threads are started, what is compiled is loaded
    with PeakMemory() as step:
        made.fit(x)
    with PeakMemory() as encoding:
        features = made.transform(x)
    beyond = {
        "step": step.beyond - 2 * x.nbytes,  # the batch and its reconstruction
        "transform": encoding.beyond - features.nbytes,
    }
    calls = {
        "step": Step(get_backend("cpu"), x, make_parameters(layer)),
        "transform": lambda: made.transform(x, out=features),
    }
    seconds = {name: [] for name in calls}
    for _ in range(task["repetitions"]):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {
        "layer": asdict(layer),
        "pixels": int(np.prod(x.shape)) // layer.channels,
        "batch_bytes": x.nbytes,
        "beyond_bytes": {name: max(0, n_bytes) for name, n_bytes in beyond.items()},
        "seconds": seconds,
        "median_seconds": {name: median(values) for name, values in seconds.items()},
    }


if __name__ == "__main__":
    answer(measure_size)
