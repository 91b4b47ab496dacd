"""What waiting a user has: importing minisca, the first step with nothing compiled, and later ones.

Every figure is from a process of its own; "cold" gives it an empty folder for whatever it compiles.
On a device, a first step opens the device as well. Numba CUDA keeps nothing that it compiled: to it
every process is a cold one.
"""

import tempfile

from bench.children import run_child
from bench.layers import describe
from bench.timing import median
from common.records import print_table

from minisca.progress import progress

#: A layer convolved directly, and one in the transform domain: what they compile differs.
NAMES = ("MNIST layer 1, 128 maps", "MNIST layer 2, 128 to 2048 maps")
#: A cold run takes many seconds, always nearly the same; two warm ones follow each.
MOST_COLD_RUNS, MOST_ON_A_DEVICE = 3, 1
#: Where Numba, CuPy and CUDA's driver keep what they compiled.
CACHES = ("NUMBA_CACHE_DIR", "CUPY_CACHE_DIR", "CUDA_CACHE_PATH")


def measure_cold(bench, machine):
    runs = range(bench.repetitions)
    imports = [
        run_child("bench.first_step", None)
        for _ in progress(True, runs, desc="import", leave=False)
    ]
    layers = []
    for layer in bench.layers(NAMES):
        task = describe(layer)["shape"] | {"backend": machine.name}
        cold, warm = [], []
        most = MOST_ON_A_DEVICE if machine.is_device else MOST_COLD_RUNS
        colds = range(min(bench.repetitions, most))
        for _ in progress(True, colds, desc=layer.name, leave=False):
            with tempfile.TemporaryDirectory(prefix="minisca-benchmark-") as cache:
                caches = dict.fromkeys(CACHES, cache)
                cold.append(run_child("bench.first_step", task, **caches))
                for _ in range(2):
                    warm.append(run_child("bench.first_step", task, **caches))
        found = {**describe(layer), "cold": cold, "warm": warm}
        found["median_cold_seconds"] = _median(cold, "first_step")
        found["median_warm_seconds"] = _median(warm, "first_step")
        layers.append(found)
    return {
        "imports": imports,
        "median_import_seconds": _median(imports, "import_minisca"),
        "median_import_numpy_seconds": _median(imports, "import_numpy"),
        "layers": layers,
    }


def _median(answers, key):
    return median([answer[key] for answer in answers])


def report_cold(result):
    seconds, numpy_seconds = result["median_import_seconds"], result["median_import_numpy_seconds"]
    rows = [["import minisca", f"{seconds:.2f}"], ["  of which NumPy", f"{numpy_seconds:.2f}"]]
    for layer in result["layers"]:
        for state in ("cold", "warm"):
            seconds = f"{layer[f'median_{state}_seconds']:.2f}"
            rows.append([f"first step, {state} cache: {layer['layer']}", seconds])
        rows.append(["  the step after it", f"{_median(layer['warm'], 'second_step'):.2f}"])
    print_table(["waiting, seconds", "median"], rows)
