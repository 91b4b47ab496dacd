"""Streams, CUDA graphs and pools of memory, for the emulated device.

A launch is run at once, but while it is recorded it is only noted, with the addresses of its
arrays, which keep no memory alive. A replay is refused where memory was given back meanwhile,
unless it is the graph's own: of that, all that nobody has is filled with nonsense first.
"""

import contextlib
import weakref
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np


class Block:
    """Memory that was allocated at once, from a pool. It lives as long as an array has some."""

    def __init__(self, pool=None):
        self.pool, self.whole = pool, None


class Pool:
    """A pool of memory, apart from all other."""

    def malloc(self, n_bytes):
        return SimpleNamespace(mem=Block(self))


class Address(NamedTuple):
    """An array among the arguments of a launch that was recorded."""

    memory: np.ndarray
    whole: np.ndarray
    block: weakref.ref
    pool: Any


class Stream:
    """What is recorded on it stands in `launches`."""

    def __init__(self):
        self.launches = None

    def begin_capture(self):
        assert _now.stream is self, "a stream records what is launched on it"
        assert self.launches is None
        self.launches = []

    def end_capture(self):
        launches, self.launches = self.launches, None
        counts["recorded"] += 1
        return Graph(launches)


class Graph:
    """Launches that were recorded."""

    def __init__(self, launches):
        self.launches = launches

    def launch(self, stream):
        assert stream is _now.stream is not None
        assert stream.launches is None
        addresses = [each for _, args in self.launches for each in args if _is_address(each)]
        for each in addresses:
            if each.block() is None:
                assert each.pool is not None, "a replay on memory that was given back"
                each.whole.fill(np.nan if each.whole.dtype.kind == "f" else -(2**30))
        counts["replays"] += 1
        for run, args in self.launches:
            run(*(each.memory if _is_address(each) else each for each in args))


def _is_address(arg):
    return isinstance(arg, Address)


#: What is current: the stream, and the allocator of new memory.
_now = SimpleNamespace(stream=None, allocate=None)
#: How many graphs were recorded, and replays.
counts = {"recorded": 0, "replays": 0}


def block():
    """A block for a new array."""
    return Block() if _now.allocate is None else _now.allocate(0).mem


def current():
    """What tells the current stream from others; 0 of that which everything runs on by default."""
    return id(_now.stream) if _now.stream else 0


@contextlib.contextmanager
def on_stream(stream):
    before, _now.stream = _now.stream, stream
    try:
        yield
    finally:
        _now.stream = before


@contextlib.contextmanager
def allocating(allocate):
    before, _now.allocate = _now.allocate, allocate
    try:
        yield
    finally:
        _now.allocate = before


def launch(run, args):
    """Do `run` with the memory of arrays among `args`, or note that on the stream that records."""
    if _now.stream is None or _now.stream.launches is None:
        run(*(arg.memory if hasattr(arg, "memory") else arg for arg in args))
        return
    noted = []
    for arg in args:
        if hasattr(arg, "memory"):
            found = arg.data.mem
            arg = Address(arg.memory, found.whole, weakref.ref(found), found.pool)
        noted.append(arg)
    _now.stream.launches.append((run, noted))


def refuse_while_recording(why):
    assert _now.stream is None or _now.stream.launches is None, why
