"""Where the operations run. A backend is a module with every operation of `interface.py`."""

import importlib
from types import ModuleType

from minisca.backends.interface import OPERATIONS as OPERATIONS
from minisca.validation import check_choice

_MODULES = {
    "cpu": "minisca.backends.cpu",
    "numba_cuda": "minisca.backends.numba_cuda",
    "cupy": "minisca.backends.cupy",
}


def available_backends() -> list[str]:
    """Names of the backends that run on this machine, the one that "auto" takes first."""
    return list(_available())


def _available():
    return (name for name in _MODULES if name == "cpu" or _finds_device(name))


def _finds_device(name):
    """Whether the backend's package is installed and a device is there to run it."""
    try:
        return importlib.import_module(_MODULES[name]).is_available()
    except ImportError:
        return False


def get_backend(name: str = "auto") -> ModuleType:
    """The backend module called `name`; "auto" takes the first of `available_backends()`.

    Raises ValueError for a name that is not a backend, ImportError where its package is missing.
    """
    check_choice("backend", name, ("auto", *_MODULES))
    if name == "auto":
        name = next(_available())  # looks no further: device libraries take long to import
    return importlib.import_module(_MODULES[name])
