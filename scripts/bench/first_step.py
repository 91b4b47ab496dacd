"""In a process of its own: how long importing minisca takes, and the first training step.

Nothing but the standard library is imported before the clock starts.
"""

import json
import sys
import time


def first_step(task):
    """Seconds of `import numpy`, of `import minisca` after it, and of the first training steps.

    task: a layer's shape and the name of a `backend`, or None: only the imports are timed. On a
    device a step ends when what it learned is on the host.
    """
    start = time.perf_counter()
    import numpy as np

    numpy_imported = time.perf_counter()
    import minisca

    imported = time.perf_counter()
    answer = {"import_numpy": numpy_imported - start, "import_minisca": imported - start}
    if task is not None:
        size = (task["batch"], task["channels"], task["size"], task["size"])
        images = np.random.default_rng(0).random(size, np.float32)
        options = {"batch_size": task["batch"], "backend": task["backend"], "init_scale": 0.001}
        options |= {"random_state": 0, "verbose": False}
        layer = minisca.SparseConvAutoencoder(task["n_maps"], task["width"], **options)
        start = time.perf_counter()
        layer.partial_fit(images)
        answer["first_step"] = time.perf_counter() - start
        start = time.perf_counter()
        layer.partial_fit(images)
        answer["second_step"] = time.perf_counter() - start
    return answer


if __name__ == "__main__":
    print(json.dumps(first_step(json.loads(sys.argv[1]))))
