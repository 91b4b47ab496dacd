"""Where the operations run. A backend is a module with every operation of `interface.py`."""

import contextlib
import ctypes
import functools
import importlib
import sys
from types import ModuleType

from minisca.backends.interface import OPERATIONS as OPERATIONS
from minisca.backends.interface import SUPPORT as SUPPORT
from minisca.validation import check_choice

#: What `backend` may be.
CHOICES = ("auto", "cpu", "cupy", "numba_cuda")

#: What "auto" looks for, in this order.
PREFERENCE = ["cupy", "numba_cuda", "cpu"]


def available_backends() -> list[str]:
    """Names of the backends that run on this machine, the one that "auto" takes first."""
    return [name for name in PREFERENCE if _runs_here(name)]


def get_backend(name: str = "auto") -> ModuleType:
    """The backend module called `name`; "auto" takes the first of `available_backends()`.

    Raises ValueError for a name that is not a backend; where the backend does not run on this
    machine, ImportError if its package is missing, RuntimeError if there is no device.
    """
    check_choice("backend", name, CHOICES)
    if name == "auto":
        name = next(name for name in PREFERENCE if _runs_here(name))
    module = _load(name)
    if name != "cpu":
        module.require()
    return module


def _load(name):
    return importlib.import_module(f"minisca.backends.{name}")


def name_of(backend: ModuleType) -> str:
    """The name by which `get_backend` finds the module."""
    return backend.__name__.rpartition(".")[2]


def _runs_here(name):
    """Whether the backend's package is installed and a device is there to run it."""
    if name == "cpu":
        return True
    if not has_driver():  # device libraries take long to import: not in vain
        return False
    try:
        return _load(name).is_available()
    except ImportError:
        return False


@functools.cache
def has_driver() -> bool:
    """Whether the driver of NVIDIA GPUs is installed, without which there is no device."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def cupy_on(platform):
    """Within the block, "cupy" runs on a stand-in of CuPy's device: `cupy/runtime/machine.py`."""
    machine = importlib.import_module("minisca.backends.cupy.runtime.machine")
    before, machine.platform = machine.platform, platform
    try:
        yield _load("cupy")
    finally:
        machine.platform = before


def cpu_runtime() -> ModuleType:
    """What compiles and runs kernels on the CPU, for kernels that are no backend's operation.

    It is imported when asked for: Numba takes long to import.
    """
    return importlib.import_module("minisca.backends.cpu.runtime")
