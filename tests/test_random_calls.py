"""Whatever an operation or a method is given: a right value, or an exception that says why not.

The short form of `python -m tests.campaigns.random_calls`, and that it notices what it looks for.
"""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.campaigns.calls import NAMES, array
from tests.campaigns.random_calls import Worker, random_calls
from tests.campaigns.subjects import SUBJECTS
from tests.campaigns.worker import answer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes of this kind")


@pytest.fixture(scope="module")
def worker():
    made = Worker("cpu")
    yield made
    made.close()


@pytest.mark.parametrize("name", NAMES)
def test_random_calls_are_right_or_refused_by_name(worker, name):
    def use(call):
        found = worker.make(call)
        assert found["fault"] is None, f"{found}\n--call '{json.dumps(call)}'"

    random_calls(name, 6 if name in SUBJECTS else 24, seed=0, use=use)


def relu_call(right=True, **content):
    maps = array([2, 3], **content)
    maps["array"] |= {"fill": "normal"}
    call = {"call": "relu", "args": {"maps": maps}, "on_device": False}
    return call | {"right": right, "mutated": []}


def changing(maps):
    maps[maps < 0] = 0
    return maps.copy()


def failing(error):
    def relu(maps):
        raise error

    return relu


@pytest.mark.parametrize(
    ("relu", "fault"),
    [
        (lambda maps: np.maximum(maps, 0), None),
        (lambda maps: maps.copy(), "wrong: at ("),
        (lambda maps: np.maximum(maps, 0).astype(np.float64), "wrong: float64"),
        (changing, "maps was changed"),
        (failing(KeyError("maps")), "obscure: KeyError"),
        (failing(ValueError("maps has shape (2, 3)")), "refused, though nothing is wrong"),
    ],
)
def test_every_kind_of_fault_is_noticed(relu, fault):
    backend = SimpleNamespace(relu=relu, to_host=np.asarray, __name__="broken")
    found = answer(backend, relu_call())["fault"]
    assert found is None if fault is None else found.startswith(fault)


def test_an_exception_without_a_name_is_noticed():
    backend = SimpleNamespace(relu=failing(ValueError("bad dtype")), __name__="broken")
    assert answer(backend, relu_call(right=False))["fault"].startswith("no name")


def test_a_process_that_dies_is_noticed_and_replaced(worker):
    assert worker.make(relu_call())["outcome"] == "right"
    worker.process.kill()
    assert worker.make(relu_call())["outcome"] == "died"
    assert worker.make(relu_call())["outcome"] == "right"
