"""What several ranks must have in common, found before they begin and said on each."""

import pickle

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
    found |= {name: value for name, value in settings.items() if name != "verbose"}
    if "backend" in found:
        found["backend"] = name_of(get_backend(found["backend"]))
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
    as `together` where `describe` raises.
    """
    made, found = together(communicator, describe)
    found = communicator.tell(found)
    for rank, theirs in enumerate(found):
        for what in {**found[0], **theirs}:
            one, other = found[0].get(what), theirs.get(what)
            if one != other:
                must = "it must be the same on all ranks"
                raise ValueError(f"{what} is {one!r} on rank 0, {other!r} on rank {rank}; {must}")
    return made
