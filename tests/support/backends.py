"""The backends that run here, as parameters of tests."""

import functools
import os

import pytest

from minisca import backends
from minisca.backends import available_backends, get_backend
from minisca.backends.interface import OPERATIONS
from tests.support import emulated_device
from tests.support.helpers import as_tuple

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
EMULATED = not SIMULATED and emulated_device.install()


#: The backends that run here, emulated and simulated ones included.
FOUND = ["cpu"] + [
    name
    for name, stands_in in (("cupy", EMULATED), ("numba_cuda", SIMULATED))
    if stands_in or name in available_backends()
]
AUTO_ORDER = tuple(backends.PREFERENCE)
# "auto" is the CPU here, whatever else there is: a test that wants a device names it.
backends.PREFERENCE[:] = ["cpu"]


def parameter(name):
    """A backend as a parameter, marked if it needs a device, its id saying if that is simulated."""
    if name == "cpu":
        return name
    if name == "cupy" and EMULATED:
        return pytest.param(name, id="cupy-emulated", marks=pytest.mark.emulated)
    return pytest.param(name, id=name + "-simulated" * SIMULATED, marks=pytest.mark.gpu)


BACKENDS = [parameter(name) for name in FOUND]
DEVICES = BACKENDS[1:]


class OnHost:
    """A backend's module, except that its operations return NumPy arrays."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        found = getattr(self.module, name)
        if name not in OPERATIONS:
            return found

        @functools.wraps(found)
        def operation(*args, **named):
            results = as_tuple(found(*args, **named))
            to_host = self.module.to_host
            on_host = tuple(each if each is None else to_host(each) for each in results)
            return on_host if len(on_host) > 1 else on_host[0]

        return operation


def on_host(name):
    """The backend of that name, its results on the host, where the tests look at them."""
    return get_backend(name) if name == "cpu" else OnHost(get_backend(name))
