"""How many threads a call may use, whichever of the usual switches says so, and having them.

A child that was forked from a process with Numba's threads has none of them and cannot start its
own: there GNU's OpenMP hangs, or Numba ends the child. It works in its one thread.
"""

import ctypes
import os
import sys
import threading
from contextlib import suppress
from functools import cache

import numba

from minisca.backends.cpu.runtime.compiling import compiler_lock

#: The OpenMP library that programs of a system link to. macOS has none of its own: packages bring
#: theirs, and a second one ends the process.
OPENMP_NAMES = {"linux": "libgomp.so.1", "win32": "vcomp140.dll"}


def thread_limit():
    """Threads that OPENBLAS_NUM_THREADS or OpenMP's own limit (threadpoolctl's) leave to a call.

    Who sets one of these to one thread wants one core used, and may not know of Numba's own switch.
    """
    if _forked:
        return 1
    openmp = _limit_of("OMP_NUM_THREADS") if OPENMP is None else OPENMP.omp_get_max_threads()
    return max(1, min(openmp, _limit_of("OPENBLAS_NUM_THREADS")))


def thread_count():
    """Threads that a call uses."""
    limit = thread_limit()
    if limit == 1:
        return 1
    _start_threads()
    return min(limit, numba.get_num_threads())


def on_numbas_threads(limit, function, *arguments):
    """function(*arguments) while Numba has at most `limit` threads; then it has as many as before.

    Numba ends a process that uses its "workqueue" in two threads at once: there one waits for the
    other.
    """
    _start_threads()
    if _one_at_a_time():
        with _workqueue:
            return _with_threads(limit, function, arguments)
    return _with_threads(limit, function, arguments)


def _with_threads(limit, function, arguments):
    if limit >= numba.config.NUMBA_NUM_THREADS:  # there are no more, and to ask takes a while
        return function(*arguments)
    before = numba.get_num_threads()
    if before <= limit:
        return function(*arguments)
    numba.set_num_threads(limit)
    try:
        return function(*arguments)
    finally:
        numba.set_num_threads(before)


@cache
def _one_at_a_time():
    return numba.threading_layer() == "workqueue"  # it stays what it is once threads have started


@cache
def _limit_of(variable):
    wanted = os.environ.get(variable, "").partition(",")[0]
    return int(wanted) if wanted.isdecimal() else numba.config.NUMBA_NUM_THREADS


@cache
def _start_threads():
    """Start Numba's threads. That changes OpenMP's limit, so set it back."""
    with compiler_lock:
        limit = OPENMP and OPENMP.omp_get_max_threads()
        numba.get_num_threads()
        if OPENMP:
            OPENMP.omp_set_num_threads(limit)


def _load_openmp():
    """The system's OpenMP library; None where it is missing or lacks what is asked of it."""
    with suppress(KeyError, OSError, AttributeError):
        library = ctypes.CDLL(OPENMP_NAMES[sys.platform])
        # functions, or AttributeError
        assert library.omp_get_max_threads
        assert library.omp_set_num_threads
        return library


def _after_fork():
    """In a forked child: whether its parent had Numba's threads."""
    global _forked
    with suppress(ValueError):  # they were not started
        numba.threading_layer()
        _forked = True


#: Loaded now, so that threadpoolctl sees it before Numba's threads start.
OPENMP = _load_openmp()
_forked = False
_workqueue = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
