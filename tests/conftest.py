"""Fixtures: the backends under test, each test's id saying which one it ran on; small blocks."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: two threads each, to have some, and those that wait must not spin.
    for variable, value in (
        ("NUMBA_NUM_THREADS", "2"),
        ("OMP_WAIT_POLICY", "passive"),
        ("OPENBLAS_THREAD_TIMEOUT", "4"),
    ):
        os.environ.setdefault(variable, value)

import emulated_device
import pytest
from on_host import OnHost

import reference
from minisca import backends, feature_blocks
from minisca.backends import available_backends, get_backend

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


@pytest.fixture(params=BACKENDS)
def backend(request):
    """A backend's module, with every operation in it."""
    return on_host(request.param)


@pytest.fixture(params=["reference", *BACKENDS])
def operations(request):
    """The reference, then every backend: for claims that hold for the definition as well."""
    return reference if request.param == "reference" else on_host(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 10 rows of 12 float64 features."""
    monkeypatch.setattr(feature_blocks, "BLOCK_BYTES", 10 * 12 * 8)
