"""Where the operations run. A backend is a module with every operation of `interface.py`."""

import importlib
from types import ModuleType

from minisca.backends.interface import OPERATIONS as OPERATIONS
from minisca.validation import check_choice

_MODULES = {"cpu": "minisca.backends.cpu"}


def available_backends() -> list[str]:
    """Names of the backends that run on this machine, fastest first."""
    return list(_MODULES)


def get_backend(name: str = "auto") -> ModuleType:
    """The backend module called `name`; "auto" takes the first of `available_backends()`.

    Raises ValueError for a name that is not a backend.
    """
    check_choice("backend", name, ("auto", *_MODULES))
    if name == "auto":
        name = available_backends()[0]
    return importlib.import_module(_MODULES[name])
