"""Logistic regression on 60,000 x 12,800 features: time to convergence, memory beyond them.

Once from float32, once from float16, once from a memory-mapped float16 file in a process that is
not allowed as much memory as a copy of it would take. Each in a process of its own. Then the linear
classifiers beside scikit-learn's.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from bench.children import MB, PeakMemory, answer, memory, run_child
from bench.classifier_peers import measure_beside, report_beside
from bench.features import make_features, make_labels
from common.records import print_rows

KINDS = ("float32", "float16", "memory-mapped float16")


def measure_classifier(bench, machine):
    rows, n_features = (600, 400) if bench.tiny else (60_000, 12_800)
    task = {"rows": rows, "features": n_features}
    with tempfile.TemporaryDirectory(prefix="minisca-benchmark-") as directory:
        own = ({"kind": kind, "directory": directory} for kind in KINDS)
        fits = [run_child("bench.classifier", task | kind) for kind in own]
    return task | {"fits": fits, "beside_scikit_learn": measure_beside(bench.tiny)}


def report_classifier(result):
    print(f"logistic regression on {result['rows']:,} x {result['features']:,} features")
    rows = []
    for fit in result["fits"]:
        size, beyond = fit["features_bytes"], fit["beyond_bytes"]
        row = {"features": fit["kind"], "seconds": f"{fit['seconds']:.1f}"}
        row |= {name: fit[name] for name in ("iterations", "evaluations", "converged")}
        row |= {"MB": round(size / MB), "MB beyond": round(beyond / MB)}
        rows.append(row | {"of features": f"{beyond / size:.1%}"})
    print_rows(rows)
    print()
    report_beside(result["beside_scikit_learn"])


def fit(task):
    """In a child: make the features, fit, and say what it took."""
    from minisca import LogisticRegression
    from minisca.classifiers import logistic

    features = _features(task)
    labels = make_labels(task["rows"])
    # Libraries start, compile and take their buffers: memory that is there once, whatever the size.
    LogisticRegression(max_iter=2, verbose=False).fit(features[:1000], labels[:1000])
    mapped = isinstance(features, np.memmap)
    limit = _forbid_a_copy(features) if mapped else None
    evaluations = 0
    loss_and_gradient = logistic.loss_and_gradient

    def counted(*arguments):
        nonlocal evaluations
        evaluations += 1
        return loss_and_gradient(*arguments)

    logistic.loss_and_gradient = counted
    model = LogisticRegression(verbose=False)
    with PeakMemory() as peak:
        start = time.perf_counter()
        model.fit(features, labels)
        seconds = time.perf_counter() - start
    return {
        "kind": task["kind"],
        "seconds": seconds,
        "iterations": model.n_iter_,
        "evaluations": evaluations,
        "converged": model.converged_,
        "loss": model.loss_,
        "features_bytes": features.nbytes,
        # the pages of a mapped file are the system's, and go when memory is wanted
        "beyond_bytes": peak.private_beyond if mapped else peak.beyond,
        "private_limit_bytes": limit,
    }


def _forbid_a_copy(features):
    """Limit the process's own memory to what it has and 10 % of the features in float32.

    Never so tightly that a library could not start. Returns the bytes still allowed.
    """
    import resource  # not on every system; where /proc is, it is

    allowed = max(features.size * 4 // 10, 256 * MB)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory()["VmData"] + allowed, hard))
    return allowed


def _features(task):
    """Of the task's kind, in memory or in a file that is mapped."""
    rows, n_features = task["rows"], task["features"]
    dtype = np.float32 if task["kind"] == "float32" else np.float16
    path = Path(task["directory"]) / "features.npy"
    mapped = task["kind"].startswith("memory-mapped")
    make = partial(np.lib.format.open_memmap, path, "w+") if mapped else np.empty
    features = make(dtype=dtype, shape=(rows, n_features))
    make_features(features)
    if mapped:
        features.flush()
        del features
        features = np.load(path, mmap_mode="r")
    return features


if __name__ == "__main__":
    answer(fit)
