"""Kernels called by address: for any kinds of arguments, on as many threads as anybody allows."""

import subprocess
import sys
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from minisca.backends.cpu.runtime import in_parallel, in_turns, kernel, parallel, threads
from minisca.backends.cpu.vectors.machine_code import call


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


@pytest.fixture(params=["one thread", "all threads"])
def some_threads(request, monkeypatch):
    if request.param == "one thread":
        monkeypatch.setattr(parallel, "thread_limit", lambda: 1)


@pytest.mark.usefixtures("some_threads")
def test_a_piece_that_fails_does_not_pass_for_done():
    with pytest.raises(MemoryError, match="_fail failed"):
        in_parallel(_fail, 5, np.zeros(5))


@kernel
def _double(piece, turn, out):
    out[piece] *= 2


@kernel
def _note(piece, turn, out):
    turn[piece] += 1
    out[turn[0] % len(out)] += 1  # what the next turn finds


@kernel
def _fail_at_three(piece, turn, out):
    if turn[0] == 3:
        raise ValueError("turn three")


@pytest.mark.usefixtures("some_threads")
@pytest.mark.parametrize("pieces", [1, 7])
def test_turns_come_one_after_the_other(pieces):
    turn, out = np.zeros(1, np.int64), np.ones(pieces)
    expected = np.ones(pieces)
    for number in range(1, 6):
        expected *= 2
        expected[number % pieces] += 1
    in_turns(_double, _note, 5, pieces, turn, out)
    assert turn[0] == 5
    np.testing.assert_array_equal(out, expected)


@pytest.mark.usefixtures("some_threads")
def test_after_a_turn_that_fails_there_is_no_other():
    turn, out = np.zeros(1, np.int64), np.ones(4)
    with pytest.raises(MemoryError, match="_fail_at_three failed"):
        in_turns(_fail_at_three, _note, 9, 4, turn, out)
    assert turn[0] == 4  # what comes after the pieces of a turn is done even then


@kernel
def _sum_row(piece, x, out):
    out[piece] = x[piece].sum()


def fixed(x):
    x.flags.writeable = False
    return x


@pytest.mark.usefixtures("some_threads")
@pytest.mark.parametrize(
    "laid_out", [np.copy, np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2], fixed]
)
def test_code_for_one_layout_of_an_array_is_not_used_for_another(laid_out):
    x = np.random.default_rng(0).integers(9, size=(5, 4)).astype(np.float32)
    for array in (x, laid_out(x.copy()), x):
        out = np.empty(5, np.float32)
        in_parallel(_sum_row, 5, array, out)
        np.testing.assert_array_equal(out, x.sum(axis=1))


@pytest.mark.parametrize("pieces", [1, 5])
def test_an_array_that_must_not_be_written_to_is_not(pieces):
    out = np.ones(5)
    in_parallel(_fill, pieces, out.copy(), 2.0)
    with pytest.raises(TypingError, match="readonly"):
        in_parallel(_fill, pieces, fixed(out), 2.0)
    assert (out == 1).all()


@kernel
def _call_nothing(piece, *arrays):
    call(0, *arrays)


@pytest.mark.parametrize(
    "arrays",
    [
        (np.ones((3, 4)).T,),
        (np.ones(8)[::2],),
        (fixed(np.ones(4)),),
        (np.ones(4), np.ones(4, np.float32)),
    ],
)
def test_no_pointer_to_an_unfit_array_reaches_a_function_of_vectors(arrays):
    with pytest.raises(TypingError, match="cannot be passed to a function of vectors"):
        in_parallel(_call_nothing, 1, *arrays)


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
    threads._limit_of.cache_clear()
    try:
        assert threads.thread_limit() == 1
        in_parallel(_fill, 5, np.zeros(5), 1.0)
        assert numba.get_num_threads() == before
    finally:
        threads._limit_of.cache_clear()


def test_a_limit_below_numbas_own_number_holds_for_the_call_alone():
    before = numba.get_num_threads()
    if before == 1:
        pytest.skip("one core: there is no lower limit")
    assert threads.on_numbas_threads(before - 1, numba.get_num_threads) == before - 1
    assert numba.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        threads.on_numbas_threads(before - 1, divmod, 1, 0)
    assert numba.get_num_threads() == before


@pytest.mark.parametrize("library", [None, SimpleNamespace(omp_get_max_threads=lambda: 1)])
def test_without_an_openmp_library_or_its_functions_the_variable_counts(monkeypatch, library):
    """As on macOS, and on a Linux system without GNU's."""
    found = {} if library is None else {sys.platform: "some library"}
    monkeypatch.setattr(threads, "OPENMP_NAMES", found)
    monkeypatch.setattr(threads.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(threads, "OPENMP", threads._load_openmp())
    assert threads.OPENMP is None
    for variable in ("1", "1,3"):
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
        threads._limit_of.cache_clear()
        try:
            assert threads.thread_count() == 1
        finally:
            threads._limit_of.cache_clear()
    monkeypatch.delenv("OMP_NUM_THREADS")
    out = np.zeros(5)
    in_parallel(_fill, 5, out, 2.0)
    np.testing.assert_array_equal(out, 2 * np.arange(5))
