"""Where features are kept, and how they get there while the next are computed.

On the device that computes them if there is room; else in pinned memory of the host, and where that
is too little too, in a scratch file.
"""

import contextlib
import math
import os
import tempfile
import traceback
import warnings

import numpy as np

from minisca.backends import name_of
from minisca.files.room import take_room
from minisca.training.arrivals import own
from minisca.validation import check_choice, check_out, is_of_device

#: Where `transform` may leave features.
PLACES = ("host", "device")
#: Of a device's free memory, how much features may take: the rest is for what is done with them.
SHARE = 0.75
#: Of the host's memory that is free, how much of it may be pinned.
HOST_SHARE = 0.5


def make_out(backend, shape, dtype, out, to, given_dtype=None):
    """What `transform` fills: `out`, if it can be; or a new array where `to` says.

    dtype: of what is computed. given_dtype: what the features are to be of, or None.
    """
    check_choice("to", to, PLACES)
    if given_dtype is not None:
        dtype = check_choice("dtype", given_dtype, ("float16", "float32", "float64"))
    if out is None:
        return np.empty(shape, dtype) if to == "host" else keep(backend, shape, dtype)
    if to != "host" or given_dtype is not None:
        raise ValueError("out is given, which says where features go; to and dtype must not be")
    given, out = out, own("out", out, backend)
    strides = getattr(given, "__cuda_array_interface__", {}).get("strides")
    out = check_out(out, shape)
    if is_of_device(out) and (strides or backend.to_device(out) is not out):
        raise ValueError("out is not C-contiguous; on a device it must be")
    return out


def keep(backend, shape, dtype):
    """A new array for features of `shape`: where the backend computes, if there is room.

    Else a NumPy array, and a warning says what would fit, and where they are kept instead.
    """
    dtype = np.dtype(dtype)
    if name_of(backend) == "cpu":
        return np.empty(shape, dtype)
    n_bytes, room = math.prod(shape) * dtype.itemsize, SHARE * backend.free_bytes()
    if n_bytes <= room:
        try:
            return backend.empty(shape, dtype)
        except MemoryError as error:  # in no one piece
            why = f"gave none: {error}"
    else:
        fitting = int(room * shape[0] / n_bytes)
        why = f"has room for {room:.0f}, {fitting} of {shape[0]} images"
    if dtype.itemsize > 2 and n_bytes * 2 / dtype.itemsize <= room:
        why += "; in float16 all would fit"
    kept, where = _keep_on_host(backend, shape, dtype)
    warnings.warn(
        f"features of shape {tuple(shape)} take {n_bytes} bytes in {dtype}, of which "
        f"{name_of(backend)} {why}. They are kept in {where}, and cross over where they are used",
        stacklevel=4,
    )
    return kept


def _keep_on_host(backend, shape, dtype):
    """A new array of the host, and in words where it is."""
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes <= HOST_SHARE * host_free_bytes():
        try:
            return backend.pinned(shape, dtype), "pinned memory of the host"
        except MemoryError as error:
            why = f" ({error})"
    else:
        why = ""
    return scratch(shape, dtype), f"a scratch file in {tempfile.gettempdir()}{why}"


def scratch(shape, dtype):
    """A new array in a file without a name, whose room is free again when nobody reads it.

    Raises OSError where the disk is full. Which folder it is in, TMPDIR says.
    """
    with tempfile.TemporaryFile() as file:
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        take_room(file, n_bytes, "features", tempfile.gettempdir())
        return np.memmap(file, dtype, "w+", shape=tuple(shape))


@contextlib.contextmanager
def freed_after_errors(*backends):
    """After an exception, what the functions that it ended had on a device is free again.

    An exception that somebody keeps, as an interactive session does, would keep their arrays too.
    """
    try:
        yield
    except BaseException as error:
        if any(name_of(backend) != "cpu" for backend in backends):
            traceback.clear_frames(error.__traceback__)
        raise


def host_free_bytes():
    """Memory of the host that is free, or that the system would free; where it is not told, all."""
    try:
        with open("/proc/meminfo") as file:
            found = next(line for line in file if line.startswith("MemAvailable"))
        return 1024 * int(found.split()[1])
    except (OSError, StopIteration):
        if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return math.inf


def _as_kept(made, dtype):
    """An array of the host, or where `dtype` is float16 what it becomes, if all numbers fit."""
    if made.dtype != np.float32 or dtype != np.float16:
        return made
    from minisca.halves import narrowed  # Numba takes long to import

    halves = narrowed(made)
    return made if halves is None else halves


class Filling:
    """Fills `out` (n, m, ...), of the host or where the backend computes, with its results.

    What goes to the host leaves while the next is computed: a context manager, at whose end all
    has arrived.
    """

    def __init__(self, backend, out):
        self._backend, self._out = backend, out
        self._at_once = name_of(backend) == "cpu"
        self._waiting = []

    def put(self, where, made):
        """out[where] <- made. where: a slice of rows, or one row's slice and a slice of maps."""
        backend, out = self._backend, self._out
        if self._at_once:
            out[where] = _as_kept(backend.to_host(made), out.dtype)
        elif backend.holds(out):
            rows, *maps = where if isinstance(where, tuple) else (where,)
            part = out[rows].reshape(tuple(out.shape[1:]))[maps[0]] if maps else out[rows]
            narrowed = backend.cast(made, out.dtype)
            backend.copy_into_(part, narrowed.reshape(tuple(part.shape)))
        else:
            if out.dtype == np.float16:
                made = backend.cast(made, np.float16)
            self._waiting.append((where, backend.fetch(made)))
            self._write(1)

    def _write(self, n_left):
        while len(self._waiting) > n_left:
            where, arrive = self._waiting.pop(0)
            self._out[where] = arrive()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._write(0)
        while self._waiting:  # what is on its way must arrive before its memory is another's
            self._waiting.pop()[1]()
