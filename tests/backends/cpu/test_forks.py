"""Forked children and Python's threads, with every layer of Numba's threads that is installed.

In processes of their own, which may hang or be ended.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

BEGINNING = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
import numba
import numpy as np
from minisca.backends import get_backend
from minisca.backends.cpu.runtime import compiling, recycler, threads
cpu = get_backend("cpu")
rng = np.random.default_rng(0)
arrays = [rng.random(shape, dtype=np.float32) for shape in [(20, 1, 12, 12), (8, 1, 5, 5), (8,)]]

def encode(_=None):
    return b"".join(array.tobytes() for array in cpu.encode_winners(*arrays))

def tell(*found):
    print("found:", *found, file=sys.stderr)  # TBB writes to the output

def forked(work):
    child = os.fork()
    if child == 0:
        done = False
        try:
            done = work()
        finally:
            os._exit(not done)
    return os.waitpid(child, 0)[1] == 0
"""


def run(script, layer="default", **variables):
    """What the script tells with two threads of that layer; skips where it is not installed."""
    two = dict.fromkeys(["NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "2")
    # threads that wait must not spin: others need the cores
    waiting = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
    variables = two | waiting | {"NUMBA_THREADING_LAYER": layer} | variables
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + script],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"Numba's layer {layer!r} is not installed")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stderr.splitlines()]
    return [word for line in lines if line[:1] == ["found:"] for word in line[1:]]


@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_forked_children_and_threads_compute_the_same(layer):
    script = """
want = encode()
tell(numba.threading_layer(), threads.thread_count())
right = lambda: encode() == want
tell(forked(lambda: right() and threads.thread_count() == 1 and forked(right)))
with ThreadPoolExecutor(3) as pool:
    tell(all(found == want for found in pool.map(encode, range(60))))
    futures = [pool.submit(encode) for _ in range(200)]
    tell(all([forked(right) for _ in range(5)]))
tell(right(), threads.thread_count(), numba.get_num_threads())
"""
    assert run(script, layer) == [layer, "2", "True", "True", "True", "True", "2", "2"]


def test_a_child_of_a_process_that_had_no_threads_starts_its_own():
    script = """
tell(forked(lambda: bool(encode()) and bool(numba.threading_layer()) and not threads._forked))
"""
    assert run(script) == ["True"]


def test_a_child_of_a_process_that_uses_one_thread_is_like_its_parent():
    script = """
want = encode()
tell(forked(lambda: encode() == want and not threads._forked))
"""
    assert run(script, OPENBLAS_NUM_THREADS="1") == ["True"]


def test_a_child_does_not_wait_for_locks_that_other_threads_held():
    """Memory's lock is made anew. Who compiles is waited for before the fork."""
    script = """
held, free = threading.Event(), threading.Event()

def hold():
    with compiling.compiler_lock, recycler._lock:
        held.set()
        free.wait(0.5)

holder = threading.Thread(target=hold)
holder.start()
held.wait()

def compile_and_allocate():
    recycler.empty((2 << 20,), np.uint8)
    with compiling.compiler_lock:
        return bool(encode())

tell(forked(compile_and_allocate))
holder.join()
tell(bool(encode()))
"""
    assert run(script) == ["True", "True"]


def test_the_classifiers_kernels_run_in_forked_children():
    script = """
import minisca
features = rng.random((60, 300), dtype=np.float32)
labels = np.arange(60) % 3

def fit():
    svm = minisca.LinearSVM(max_iter=2).fit(features, labels)
    logistic = minisca.LogisticRegression(max_iter=2).fit(features, labels)
    return svm.coef_.tobytes() + logistic.coef_.tobytes()

want = fit()
tell(forked(lambda: fit() == want))
"""
    assert run(script) == ["True"]
