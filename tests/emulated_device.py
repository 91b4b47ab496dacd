"""The CuPy backend without a GPU: the same kernels and launches, run by the emulator on NumPy."""

import numpy as np
from cuda_emulator import COMPILER, OPT_IN_LIMIT, LaunchError, RawKernel

from minisca.backends.cupy import device


class Arrays:
    """The functions of NumPy that the backend takes from CuPy. New memory holds nothing useful."""

    ascontiguousarray = staticmethod(np.ascontiguousarray)
    zeros = staticmethod(np.zeros)

    @staticmethod
    def empty(shape, dtype):
        dtype = np.dtype(dtype)
        return np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).min // 3, dtype)


class Emulator:
    """What `minisca.backends.cupy.device.CuPy` is, on the CPU."""

    xp = Arrays
    shared_limit = OPT_IN_LIMIT
    failures = (LaunchError,), ()

    def is_available(self):
        return COMPILER is not None

    def to_host(self, array):
        return array

    def raw_kernel(self, code, name, options):
        return RawKernel(code, name, options)


def install():
    """Let the CuPy backend run on the emulator in this process, if there is no device.

    Returns whether it does: the emulator needs g++.
    """
    if device.is_available() or COMPILER is None:
        return False
    device.platform = Emulator()
    return True
