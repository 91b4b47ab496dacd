"""How many threads a call may use, whichever of the usual switches says so."""

import ctypes
import os
from functools import cache

import numba
from numba.np.ufunc import parallel


def thread_limit():
    """Threads that OPENBLAS_NUM_THREADS or OpenMP's own limit (threadpoolctl's) leave to a call.

    Who limits either to one thread wants one core, and does not know of Numba's own switch.
    """
    limit, openmp = _blas_limit(), _openmp_limit()
    return max(1, min(limit, openmp() if openmp is not None else limit))


@cache
def _blas_limit():
    wanted = os.environ.get("OPENBLAS_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() else numba.config.NUMBA_NUM_THREADS


@cache
def _openmp_limit():
    """omp_get_max_threads of the OpenMP library that Numba's threads are of; None without one."""
    try:
        numba.threading_layer()
    except ValueError:  # no threads were started yet: starting them sets OpenMP's limit
        parallel._launch_threads()
    if numba.threading_layer() != "omp":
        return None
    from numba.np.ufunc import omppool

    return ctypes.CDLL(omppool.__file__).omp_get_max_threads
