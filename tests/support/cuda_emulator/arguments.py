"""A kernel's arguments: checked against its parameters, moved to memory of the emulator and back.

A real launch checks nothing: a wrong type there means wrong numbers or a crash.
"""

import ctypes

import numpy as np

from .build import runtime


def _letter(dtype):
    """The type's letter in shim/parameters.h: NumPy's, but that a long is a long long.

    Kernels take halves as their bits, unsigned short.
    """
    return {"l": "q", "e": "H"}.get(dtype.char, dtype.char)


class Arguments:
    """The arguments of one launch.

    signature : str, the kinds of the parameters (' ' by value, '*' pointer), then their types
    """

    def __init__(self, kernel, signature, values):
        kinds, letters = signature[: len(signature) // 2], signature[len(signature) // 2 :]
        if len(values) != len(kinds):
            raise TypeError(f"kernel {kernel} has {len(kinds)} parameters, {len(values)} given")
        for number, (value, kind, letter) in enumerate(zip(values, kinds, letters, strict=True)):
            _check(f"argument {number} of kernel {kernel}", value, kind, letter)
        self._values = values
        self._arrays = _merge_overlapping(values)
        self.pointers = (ctypes.c_void_p * len(values))()

    def upload(self):
        """Copy the arrays; point at the copies, and at the scalars."""
        starts = {}
        for slot, shared in enumerate(self._arrays):
            start = runtime().emulator_upload(
                ctypes.c_int(slot),
                ctypes.c_void_p(shared.start),
                ctypes.c_uint64(shared.stop - shared.start),
                ctypes.c_uint(shared.itemsize),
                shared.name.encode(),
            )
            if start == 0:
                raise MemoryError(f"{shared.name} does not fit into the emulator's memory")
            for number in shared.numbers:
                starts[number] = start + _extent(self._values[number])[0] - shared.start
        runtime().emulator_forget_arrays(ctypes.c_int(len(self._arrays)))
        # One array each: what a pointer points at must stay while the kernel runs.
        self._boxes = [
            np.full(1, starts.get(number, 0), np.uint64) if _is_array(value) else np.full(1, value)
            for number, value in enumerate(self._values)
        ]
        for number, box in enumerate(self._boxes):
            self.pointers[number] = box.ctypes.data

    def download(self):
        """Copy back the arrays that the kernel has written."""
        for slot, shared in enumerate(self._arrays):
            start = ctypes.c_void_p(shared.start)
            if not runtime().emulator_written(slot, start):
                continue
            if not shared.writeable:
                raise ValueError(f"{shared.name} is a read-only array, and the kernel wrote to it")
            runtime().emulator_download(slot, start)


class _Shared:
    """A range of bytes that one or more arguments lie in."""

    def __init__(self, number, value):
        self.start, self.stop = _extent(value)
        self.numbers = [number]
        self.itemsize = value.itemsize
        self.writeable = value.flags.writeable

    def absorb(self, other):
        self.stop = max(self.stop, other.stop)
        self.numbers += other.numbers
        self.itemsize = min(self.itemsize, other.itemsize)
        self.writeable &= other.writeable

    @property
    def name(self):
        return "argument " + " and ".join(map(str, self.numbers))


def _is_array(value):
    return isinstance(value, np.ndarray)


def _is_null(value):
    """Null pointers: as in CuPy, arrays without elements."""
    return _is_array(value) and value.size == 0


def _extent(array):
    return array.ctypes.data, array.ctypes.data + array.nbytes


def _merge_overlapping(values):
    """Arrays that share memory on the host share it in the emulator."""
    arrays = [(number, value) for number, value in enumerate(values) if _is_array(value)]
    ranges = [_Shared(number, value) for number, value in arrays if not _is_null(value)]
    merged = []
    for shared in sorted(ranges, key=lambda shared: shared.start):
        if merged and shared.start < merged[-1].stop:
            merged[-1].absorb(shared)
        else:
            merged.append(shared)
    return merged


def _check(what, value, kind, letter):
    wanted = np.dtype(letter).name
    if kind == "*":
        if _is_null(value):
            return
        if not _is_array(value):
            raise TypeError(f"{what} is {_name(value)}; it must be an array of {wanted}")
        if not value.flags.c_contiguous:
            raise TypeError(f"{what} is not C-contiguous, strides {value.strides}")
        if letter != _letter(value.dtype):
            raise TypeError(f"{what} is an array of {value.dtype}; the kernel takes {wanted}")
        return
    if not isinstance(value, np.generic) or _letter(value.dtype) != letter:
        raise TypeError(
            f"{what} is {_name(value)}; the kernel takes it by value: pass numpy.{wanted}(...)"
        )


def _name(value):
    kind = type(value)
    return f"{value!r} of type {kind.__module__}.{kind.__name__}".replace("builtins.", "Python's ")
