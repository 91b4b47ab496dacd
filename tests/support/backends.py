"""The backends that run here, as parameters of tests."""

import os

import pytest

from minisca import backends
from minisca.backends import available_backends, get_backend
from tests.support import emulated_device
from tests.support.on_host import OnHost

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


def on_host(name):
    """The backend of that name, its results on the host, where the tests look at them."""
    return get_backend(name) if name == "cpu" else OnHost(get_backend(name))
