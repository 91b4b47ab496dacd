"""What several ranks must have in common, found before they begin and said on each."""

import os
import pickle
import platform
import warnings
from functools import cache

import numpy as np

from minisca.backends import cpu_runtime, get_backend, name_of


def sendable(error):
    """An exception that another process can raise too."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever keeps it from being sent
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def described(settings, communicator, **others):
    """{what: value} of all that must be the same on every rank, for `agree`.

    settings: {name: value} of an estimator. others: {name: a fingerprint of images, or None}.
    """
    import numba

    from minisca import __version__

    found = {"minisca": __version__, "numpy": np.__version__, "numba": numba.__version__}
    found = {f"the version of {name}": version for name, version in found.items()}
    found["bytes in a vector"] = cpu_runtime().machine_code.VECTOR_BYTES
    found |= {"split": communicator.split, "blocks": communicator.blocks}
    for name, value in settings.items():
        if name.startswith("backend"):  # of a stack: "backend of layer 1"
            found[name] = name_of(get_backend(value))
        elif not name.startswith("verbose"):
            found[name] = value
    for name, known in others.items():
        found |= {f"{what} of {name}": value for what, value in (known or {name: None}).items()}
    return found


def together(communicator, function):
    """function() of every rank; where it raises on one, every rank raises.

    RuntimeError, naming it, where that is another rank.
    """
    made = raised = None
    try:
        made = function()
    except Exception as error:
        raised = error
    told = communicator.tell(raised and f"{type(raised).__name__}: {raised}")
    if raised is not None:
        raise raised
    for rank, said in enumerate(told):
        if said:
            raise RuntimeError(f"rank {rank} cannot go on: {said}")
    return made


def agree(communicator, describe):
    """What `describe` returns beside {what: value}, which must be the same on every rank.

    The first exchange of ranks. Raises on every rank: ValueError where they differ, saying in what;
    as `together` where `describe` raises. The first warns where cores have too many threads.
    """
    made, found = together(communicator, describe)
    told = communicator.tell((found, _threads_here(found)))
    for rank, (theirs, _) in enumerate(told):
        for what in {**told[0][0], **theirs}:
            one, other = told[0][0].get(what), theirs.get(what)
            if one != other:
                must = "it must be the same on all ranks"
                raise ValueError(f"{what} is {one!r} on rank 0, {other!r} on rank {rank}; {must}")
    if communicator.is_first:
        _warn_of_threads([threads for _, threads in told])
    return made


def _threads_here(found):
    """The machine's name, the cores that this rank may use, and its threads; where it computes."""
    if "cpu" not in (value for name, value in found.items() if name.startswith("backend")):
        return platform.node(), (), 0
    may = getattr(os, "sched_getaffinity", None)  # Linux: a rank may be bound to some
    cores = may(0) if may else range(os.cpu_count() or 1)
    return platform.node(), tuple(cores), cpu_runtime().thread_count()


def _warn_of_threads(places):
    """Warn where the ranks of a machine have more threads than it has cores for them."""
    for machine in dict.fromkeys(name for name, _, _ in places):
        here = [(cores, n) for name, cores, n in places if name == machine]
        n_cores = len({core for cores, _ in here for core in cores})
        n_threads = sum(n for _, n in here)
        if len(here) > 1 and n_threads > n_cores:
            each = max(1, n_cores // len(here))
            what = f"{len(here)} ranks on {machine} have {n_threads} threads, for {n_cores} cores"
            advice = f"start at most {n_cores} ranks there, with OMP_NUM_THREADS={each}"
            _warn_once(f"{what}: they wait for each other; {advice}")


@cache
def _warn_once(message):
    warnings.warn(message, stacklevel=2)
