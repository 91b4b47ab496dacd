"""What waiting a user has: importing minisca, the first step with nothing compiled, and later ones.

Every figure is from a process of its own; "cold" gives Numba an empty cache directory.
"""

import tempfile

from bench_children import run_child
from bench_layers import LAYERS
from bench_steps import describe
from bench_timing import median
from records import print_table
from tqdm import tqdm

#: A layer convolved directly, and one in the transform domain: what they compile differs.
NAMES = ("MNIST layer 1, 128 maps", "MNIST layer 2, 128 to 2048 maps")
#: A cold run takes many seconds, always nearly the same; two warm ones follow each.
MOST_COLD_RUNS = 3


def measure_cold(bench):
    runs = range(bench.repetitions)
    imports = [
        run_child("bench_first_step.py", None)
        for _ in tqdm(runs, "import", leave=False, disable=None)
    ]
    layers = []
    for layer in bench.layers(layer for layer in LAYERS if layer.name in NAMES):
        shape = describe(layer)["shape"]
        cold, warm = [], []
        colds = range(min(bench.repetitions, MOST_COLD_RUNS))
        for _ in tqdm(colds, layer.name, leave=False, disable=None):
            with tempfile.TemporaryDirectory(prefix="minisca-benchmark-") as cache:
                cold.append(run_child("bench_first_step.py", shape, NUMBA_CACHE_DIR=cache))
                for _ in range(2):
                    warm.append(run_child("bench_first_step.py", shape, NUMBA_CACHE_DIR=cache))
        layers.append(
            {
                **describe(layer),
                "cold": cold,
                "warm": warm,
                "median_cold_seconds": median([answer["first_step"] for answer in cold]),
                "median_warm_seconds": median([answer["first_step"] for answer in warm]),
            }
        )
    return {
        "imports": imports,
        "median_import_seconds": median([answer["import_minisca"] for answer in imports]),
        "median_import_numpy_seconds": median([answer["import_numpy"] for answer in imports]),
        "layers": layers,
        "target_seconds": {"cold": 12, "warm": 1, "import": 0.3},
    }


def report_cold(result):
    targets = result["target_seconds"]
    seconds, numpy_seconds = result["median_import_seconds"], result["median_import_numpy_seconds"]
    rows = [
        ["import minisca", f"{seconds:.2f}", f"{targets['import']:g}"],
        ["  of which NumPy", f"{numpy_seconds:.2f}", ""],
    ]
    for layer in result["layers"]:
        for state in ("cold", "warm"):
            seconds = f"{layer[f'median_{state}_seconds']:.2f}"
            rows.append(
                [f"first step, {state} cache: {layer['layer']}", seconds, f"{targets[state]:g}"]
            )
        second = median([answer["second_step"] for answer in layer["warm"]])
        rows.append(["  the step after it", f"{second:.2f}", ""])
    print_table(["waiting, seconds", "median", "target"], rows)
