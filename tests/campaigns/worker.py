"""The child process of a campaign: descriptions of calls come in, what became of them goes out.

python -m tests.campaigns.worker BACKEND
"""

import json
import os
import sys
import time
import traceback
import warnings

import numpy as np

from minisca import DivergenceError
from minisca.backends.interface import OPERATIONS, SUPPORT
from tests.campaigns.calls import operands_of
from tests.campaigns.judge import judge_operation, named_in, same
from tests.campaigns.subjects import SUBJECTS, run
from tests.campaigns.things import Thing, made

#: What a call may raise. Everything else says too little to somebody who made a mistake.
USUAL = (TypeError, ValueError, MemoryError, OverflowError, DivergenceError)
#: Nothing sensible needs more memory.
MEMORY = 12 << 30


def answer(backend, call):
    """{"outcome": "right" or an exception's name, "fault": what is wrong or None, "said": text}."""
    things = {name: made(description) for name, description in call["args"].items()}
    try:
        results = execute(backend, call, things)
    except Exception as error:
        return _raised(call, things, error)
    fault = _changed(call, things, results is not None)
    masked = any(thing.masked for thing in things.values())
    if fault is None and masked and not any(map(np.ma.is_masked, results)):
        fault = "masked numbers were used"
    if fault is None:
        try:
            fault = judge(backend, call, things, results)
        except USUAL as error:
            said = f"{type(error).__name__}: {error}"
            fault = f"accepted, though plain arrays of the same numbers are refused: {said}"
    return {"outcome": "right" if fault is None else "wrong", "fault": fault, "said": ""}


def execute(backend, call, things):
    """The results of a call, a list."""
    name, values = call["call"], {key: thing.value for key, thing in things.items()}
    if name in SUBJECTS:
        return run(name, values, backend.__name__.rpartition(".")[2])
    changed = [key for key in values if key in CHANGED.get(name, ())]
    if call["on_device"]:
        for key in changed:
            if type(values[key]) is np.ndarray and values[key].dtype.kind in "biuf":
                values[key] = backend.to_device(values[key])
    results = getattr(backend, name)(**values)
    if changed:
        assert results is None, "it returned something"
        results = tuple(values[key] for key in changed)
    results = results if isinstance(results, tuple) else (results,)
    arrays = [hasattr(each, "shape") and not isinstance(each, np.generic) for each in results]
    return [
        np.array(backend.to_host(each)) if is_array else each
        for each, is_array in zip(results, arrays, strict=True)
    ]


CHANGED = {
    "sgd_momentum_": ("parameter", "velocity"),
    "winners_update_": tuple(
        key for key, each in operands_of("winners_update_").items() if each.changed
    ),
    **{"copy_into_": ("array",), "add_": ("array",), "add_up_": ("total",)},
}


def judge(backend, call, things, results):
    """What is wrong with the results, or None."""
    name = call["call"]
    if name not in SUBJECTS:
        return judge_operation(name, things, results)
    if "random_state" in call["mutated"]:
        return None
    values = {key: Thing(_plain(thing), None) for key, thing in things.items()}
    return same(results, execute(backend, call, values))


def _plain(thing):
    """A NumPy array in C order and the machine's byte order, or another thing as it is."""
    if not isinstance(thing.plain, np.ndarray):
        return thing.plain.item() if isinstance(thing.plain, np.generic) else thing.plain
    return np.array(thing.plain, thing.plain.dtype.newbyteorder("="), order="C", copy=True)


def _changed(call, things, returned):
    """The arguments that were changed and must not be, as a fault, or None."""
    may = (*CHANGED.get(call["call"], ()), "out") if returned else ()
    for key, thing in things.items():
        if thing.changed(own=key in may):
            return f"{key} was changed, or the memory beside it"
    return None


def _raised(call, things, error):
    kind, said = type(error).__name__, " ".join(str(error).split())[:300]
    fault = _changed(call, things, False)
    if fault is None and not isinstance(error, USUAL):
        where = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"obscure: {kind} at {os.path.relpath(where.filename)}:{where.lineno}"
    elif fault is None and call["right"]:
        fault = f"refused, though nothing is wrong: {kind}"
    elif (
        fault is None
        and isinstance(error, TypeError | ValueError)
        and not named_in(call["call"], said, call["args"])
    ):
        where = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"no name: {kind} at {os.path.relpath(where.filename)}:{where.lineno}"
    return {"outcome": kind, "fault": fault, "said": said}


def backend_of(name):
    """The backend's module; of a device, on the emulator or the simulator where there is none."""
    from minisca.backends import get_backend

    if name == "cupy":
        from tests.support import emulated_device

        emulated_device.install()
    if name == "numba_cuda" and os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        from tests.support.simulated_device import pytest_configure

        pytest_configure()
    return get_backend(name)


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    try:
        import resource

        if sys.argv[1] == "cpu":  # the emulated device has addresses without memory
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ImportError:  # Windows has none
        pass
    backend = backend_of(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        before = time.perf_counter()
        found = answer(backend, json.loads(line))
        found["seconds"] = time.perf_counter() - before
        print(json.dumps(found), file=answers, flush=True)


assert set(CHANGED) <= {*OPERATIONS, *SUPPORT}

if __name__ == "__main__":
    main()
