"""Kernels called by address: for any kinds of arguments, on as many threads as anybody allows."""

import subprocess
import sys

import numba
import numpy as np
import pytest

from minisca.backends.cpu.runtime import in_parallel, kernel, threads


@kernel
def _fill(piece, out, scale):
    out[piece] = scale * piece


@kernel
def _fail(piece, out):
    if piece == 3:
        raise ValueError("piece three")
    out[piece] = 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("scale", [2, 2.0, np.float32(2)])
def test_every_piece_is_done_once_whatever_the_kinds_of_the_arguments(dtype, scale):
    out = np.full(50, -1, dtype)
    in_parallel(_fill, len(out), out, scale)
    np.testing.assert_array_equal(out, 2 * np.arange(50))


def test_a_piece_that_fails_does_not_pass_for_done():
    with pytest.raises(MemoryError, match="_fail failed"):
        in_parallel(_fail, 5, np.zeros(5))


def limit_of_threadpoolctl(limit):
    """`threadpool_limits(limit)`, where that reaches Numba's threads."""
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    in_parallel(_fill, 5, np.zeros(5), 1.0)
    if numba.threading_layer() != "omp":
        pytest.skip("Numba's threads are not OpenMP's: threadpoolctl does not know them")
    return threadpoolctl.threadpool_limits(limit)


def test_threadpoolctl_limits_numbas_threads_too():
    allowed = threads.thread_limit()
    with limit_of_threadpoolctl(1):
        assert threads.thread_limit() == 1
    assert threads.thread_limit() == allowed


def test_a_limit_set_before_numbas_threads_start_is_kept_when_they_do():
    with limit_of_threadpoolctl(1):
        pass
    script = """
import numpy as np
from threadpoolctl import threadpool_limits
from minisca.backends import get_backend
from minisca.backends.cpu.runtime.threads import thread_limit
backend = get_backend("cpu")
with threadpool_limits(1):
    backend.max_pool(np.ones((1, 2, 4, 4), np.float32), 2, 2)
    print(thread_limit())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_one_thread_for_blas_is_one_thread_for_all_and_numbas_own_number_stays(monkeypatch):
    before = numba.get_num_threads()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    threads._blas_limit.cache_clear()
    try:
        assert threads.thread_limit() == 1
        in_parallel(_fill, 5, np.zeros(5), 1.0)
        assert numba.get_num_threads() == before
    finally:
        threads._blas_limit.cache_clear()
