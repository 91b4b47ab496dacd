"""The kernels that the CuPy column launches for a layer, where there is no device.

Every call of a kernel is written down, and does nothing: what is launched does not depend on what
is computed.
"""

from typing import NamedTuple

import numpy as np
from bench.layers import Step, blank_parameters

from minisca.backends import cupy_on

#: Of an H100: bytes of shared memory that a block may have.
SHARED_LIMIT = 232_448


class Launch(NamedTuple):
    """A kernel, the text and the options that it is compiled from, and how it was called."""

    name: str
    text: str
    options: tuple[str, ...]
    blocks: int
    threads: int
    dynamic_shared_bytes: int
    argument_bytes: int  # of all arrays that it was given


class Recorder:
    """What CuPy's machine is (`cupy_on`), of a device that computes nothing."""

    shared_limit = SHARED_LIMIT
    free_bytes = 1 << 36
    failures = (), ()

    def __init__(self, compute_capability):
        self.compute_capability = compute_capability
        self.xp = Arrays
        self.launches = []

    def is_available(self):
        return True

    def current_stream(self):
        return 0

    def is_there(self, array):
        return False

    def to_host(self, array):
        return np.array(array)

    def raw_kernel(self, text, name, options):
        return Kernel(self, text, name, options)


class Arrays:
    """What the backend takes from CuPy, on the host; memory that nobody touches costs nothing."""

    asarray = staticmethod(np.asarray)
    empty = zeros = staticmethod(np.zeros)


class Kernel:
    def __init__(self, recorder, text, name, options):
        self.recorder, self.text, self.name, self.options = recorder, text, name, options
        self.max_dynamic_shared_size_bytes = 0

    def __call__(self, grid, block, args, *, shared_mem=0, **_):
        sizes = int(np.prod(grid)), int(np.prod(block)), shared_mem, _bytes(args)
        self.recorder.launches.append(Launch(self.name, self.text, self.options, *sizes))


def _bytes(args):
    """Of the arrays among them; views of the same memory count once, from the first to the last."""
    extents = {}
    for arg in args:
        if isinstance(arg, np.ndarray):
            owner, start = arg if arg.base is None else arg.base, arg.ctypes.data
            first, end = extents.get(id(owner), (start, start))
            extents[id(owner)] = min(first, start), max(end, start + arg.nbytes)
    return sum(end - first for first, end in extents.values())


def launches_of(layer, call=Step.__call__, compute_capability=90):
    """The `Launch`es of a call of a layer's `Step` after the first, in their order."""
    recorder = Recorder(compute_capability)
    with cupy_on(recorder) as backend:
        shape = (layer.batch, layer.channels, layer.size, layer.size)
        step = Step(backend, np.zeros(shape, np.float32), blank_parameters(layer))
        call(step)
        recorder.launches.clear()
        call(step)
        return recorder.launches
