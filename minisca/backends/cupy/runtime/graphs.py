"""Launches that are recorded once, as a CUDA graph, and replayed with one call.

A graph has the addresses of the buffers that it was recorded with. Those that are made while it is
recorded come from a pool of its own, which nobody else takes memory from; of all others it holds
what its launches were given, so that they are nobody else's as long as it lives.
"""

import contextlib
import os

import numpy as np

from minisca.backends.cupy.runtime import machine

#: Environment variable: 0 launches every kernel of every step anew.
SWITCH = "MINISCA_CUDA_GRAPH"


def are_wanted():
    """Whether steps are recorded. Raises ValueError unless the variable is 0, 1 or not set."""
    found = os.environ.get(SWITCH, "1")
    if found not in ("0", "1"):
        raise ValueError(f"{SWITCH} is {found!r}; it must be 0 or 1")
    return found == "1"


class Graph:
    """What `function` launches, recorded on `stream` without being run; a call replays it there."""

    def __init__(self, stream, pool, function):
        self._stream, self._pool = stream, pool
        self._held = []
        own = set()  # of the memory that is made here; none of it is given back to anyone else

        def allocate(n_bytes):
            pointer = pool.malloc(n_bytes)
            own.add(id(pointer.mem))
            return pointer

        def hold(args):
            arrays = (arg for arg in args if not isinstance(arg, np.generic))
            self._held += [array for array in arrays if id(array.data.mem) not in own]

        with machine.platform.allocating(allocate), machine.watched(hold):
            stream.begin_capture()
            try:
                function()
            except BaseException:
                with contextlib.suppress(*machine.platform.failures[0]):
                    stream.end_capture()  # what failed may have ended it
                raise
            self._graph = stream.end_capture()

    def __call__(self):
        self._graph.launch(self._stream)
