"""How many threads a call may use, whichever of the usual switches says so."""

import ctypes
import os
from contextlib import suppress
from functools import cache

import numba
from numba.np.ufunc import parallel


def thread_limit():
    """Threads that OPENBLAS_NUM_THREADS or OpenMP's own limit (threadpoolctl's) leave to a call.

    Who sets one of these to one thread wants one core used, and may not know of Numba's own switch.
    """
    limit = _blas_limit()
    if OPENMP is not None:
        _start_threads()
        limit = min(limit, OPENMP.omp_get_max_threads())
    return max(1, limit)


def thread_count():
    """Threads that a call uses."""
    limit = thread_limit()  # asked first: Numba's own number starts the threads
    return min(limit, numba.get_num_threads())


@cache
def _blas_limit():
    wanted = os.environ.get("OPENBLAS_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() else numba.config.NUMBA_NUM_THREADS


@cache
def _start_threads():
    """Start Numba's threads. That changes OpenMP's limit, so set it back."""
    limit = OPENMP.omp_get_max_threads()
    parallel._launch_threads()
    OPENMP.omp_set_num_threads(limit)


#: The OpenMP library of Numba's threads, or None. Loaded now, so that threadpoolctl sees it.
OPENMP = None
with suppress(ImportError):
    from numba.np.ufunc import omppool

    OPENMP = ctypes.CDLL(omppool.__file__)
