"""The ranks that run a command together: `mpiexec -n 2 python -m mpi4py scripts/COMMAND.py`.

Each does all of it; the first alone speaks and writes records, pictures and reports. What the
others print is not shown, from `quiet_others` on.
"""

import io
import sys
from contextlib import nullcontext
from functools import cache

from common import locks


@cache
def ranks():
    """The communicator of a command that was started through mpi4py, or None."""
    if "mpi4py" not in sys.modules:
        return None
    from minisca.communicators import MPI

    return MPI()


def is_first():
    """Whether this process speaks and writes for all."""
    return ranks() is None or ranks().is_first


def quiet_others():
    """Show nothing of what ranks print but the first."""
    if not is_first():
        sys.stdout = io.StringIO()


def together():
    """{"communicator": ...} for a function that ranks call together; {} without ranks."""
    return {} if ranks() is None else {"communicator": ranks()}


def counted():
    """{"ranks": their number} for a record; {} without ranks."""
    return {} if ranks() is None else {"ranks": ranks().size}


def waiting_for(path):
    """As of `common.locks`, for all ranks: the first waits, and the others for it."""
    return locks.waiting_for(path) if is_first() else nullcontext()
