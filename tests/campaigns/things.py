"""Arguments from descriptions: arrays of any dtype, order, alignment and kind, and other things.

A description is plain data for JSON. `made` makes the thing that it describes, inside memory that
it fills with a pattern first, so that `Thing.changed` sees a write to the thing or beside it.
"""

import tempfile
from typing import Any, NamedTuple

import numpy as np

#: Memory before and behind an array.
GUARD = 192

LAYOUTS = ("C", "F", "channels last", "strided", "backwards", "broadcast", "unaligned", "read-only")
#: An array in other clothes.
WRAPS = (
    *("list", "tuple", "matrix", "masked", "no mask", "subclass", "memmap", "array method"),
    *("sparse", "generator"),
)
DTYPES = (
    *("float32", "float64", "float16", "longdouble", ">f4", ">f8", "bool", "int8", "uint8"),
    *("int16", "int32", "uint32", "int64", "uint64", ">i4", "complex64", "object", "str"),
    *("datetime64[s]", "bytes", "record"),
)
#: Things that are no arrays.
OTHERS = {
    **{"a set": {1.0, 2.0}, "a dict": {"a": 1}, "text": "text", "bytes": b"bytes", "...": ...},
    **{"a function": abs, "a type": float, "ragged": [[1.0], [1.0, 2.0]], "nothing": []},
    **{"an object": object(), "0-d": np.array(1.0), "a range": range(3), "a slice": slice(0, 2)},
}


class Subclass(np.ndarray):
    """An array of another class, which says no more."""


class ArrayMethod:
    """What is an array only when it is asked to be."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype)


class Thing(NamedTuple):
    """What a description stands for. value: given to the call. plain: the same as an array.

    masked: whether some of its numbers are not to be used.
    """

    value: Any
    plain: Any
    memory: Any = None
    before: Any = None
    masked: bool = False

    def changed(self, own=False):
        """Whether its memory is not as before; own: it may be, within the array."""
        if self.memory is None:
            return False
        now = self.memory.copy()
        if own:
            now[GUARD:-GUARD] = self.before[GUARD:-GUARD]
        return now.tobytes() != self.before.tobytes()


def made(description):
    """The `Thing` that a description stands for."""
    kind, content = next(iter(description.items()))
    if kind == "value":
        value = tuple(content) if description.get("tuple") else content
        return Thing(value, value)
    if kind == "numpy":
        value = np.array(content).astype(description["dtype"])[()]
        return Thing(value, value)
    if kind == "other":
        return Thing(OTHERS[content], OTHERS[content])
    return _array(content)


def numbers(array):
    """Numbers for an array description, in a wide dtype."""
    random = np.random.default_rng(array["seed"])
    shape = tuple(array["shape"])
    fill = array["fill"]
    if fill.startswith("below "):
        return random.integers(0, int(fill[6:]), shape)
    found = {
        "normal": random.standard_normal,
        "labels": lambda shape: np.resize(np.arange(3), shape),
        "quarters": lambda shape: random.integers(-6, 7, shape) / 4,
        "code": lambda shape: np.maximum(random.integers(-4, 7, shape) / 4, 0),
        "zeros": np.zeros,
        "huge": lambda shape: random.standard_normal(shape) * 1e200,
        "tiny": lambda shape: random.standard_normal(shape) * 1e-310,
        "nan": lambda shape: _one(random, shape, np.nan),
        "inf": lambda shape: _one(random, shape, -np.inf),
        "large indices": lambda shape: random.choice([2**31 - 1, 2**31, 2**40], shape),
        "negative indices": lambda shape: -random.integers(1, 9, shape),
    }[fill](shape)
    return np.asarray(found)


def _one(random, shape, value):
    found = random.standard_normal(shape)
    if found.size:
        found.reshape(-1)[random.integers(found.size)] = value
    return found


def _array(array):
    values, name = numbers(array), array["dtype"]
    if name in ("object", "str", "datetime64[s]", "bytes", "record"):
        if name == "record":
            value = np.zeros(values.shape, [("a", "f4"), ("b", "i4")])
        elif name == "datetime64[s]":
            value = np.nan_to_num(values, posinf=0, neginf=0).clip(-9, 9).astype("i8").astype(name)
        else:
            value = values.astype({"bytes": "S"}.get(name, name))
        return Thing(value, value)
    with np.errstate(all="ignore"):
        values = values.astype(name)
    memory = np.full(2 * values.nbytes + 2 * GUARD + 64, 0xA5, np.uint8)
    value = _laid_out(memory, values, array["layout"])
    if array.get("wrap") == "matrix" and value.ndim <= 2:
        value = np.asmatrix(value)  # of two dimensions, whatever it had
    plain = np.array(value)
    wrapped = _wrapped(value, array.get("wrap"))
    return Thing(wrapped, plain, memory, memory.copy(), np.ma.is_masked(wrapped))


def _laid_out(memory, values, layout):
    """A view of `memory` that holds the values in that layout."""
    shape, dtype = values.shape, values.dtype

    def at(shape, order="C", offset=0):
        return np.ndarray(shape, dtype, memory, GUARD + offset, order=order)

    if values.ndim == 0 or layout in ("C", "read-only"):
        found = at(shape)
    elif layout == "F":
        found = at(shape, "F")
    elif layout == "channels last":
        found = np.moveaxis(at((*shape[1:], shape[0])), -1, 0)
    elif layout == "strided":
        found = at((*shape[:-1], 2 * shape[-1]))[..., ::2]
    elif layout == "backwards":
        found = at(shape)[::-1]
    elif layout == "unaligned":
        found = at(shape, offset=1)
    else:  # broadcast: every row is the first
        found = at((min(1, shape[0]), *shape[1:]))
        found[...] = values[:1]
        return np.broadcast_to(found, shape)
    found[...] = values
    if layout == "read-only":
        found.flags.writeable = False
    return found


def _wrapped(value, wrap):
    if wrap in ("list", "tuple"):
        return value.tolist() if wrap == "list" else tuple(value.tolist()) if value.ndim else value
    if wrap in ("masked", "no mask"):
        mask = np.arange(value.size).reshape(value.shape) % 3 == 0 if wrap == "masked" else False
        return np.ma.MaskedArray(value, mask)
    if wrap == "subclass":
        return value.view(Subclass)
    if wrap == "memmap" and value.size:  # pages that may not be written to
        with tempfile.NamedTemporaryFile() as file:
            file.write(value.tobytes())
            file.flush()
            return np.memmap(file.name, value.dtype, "r", shape=value.shape)
    if wrap == "array method":
        return ArrayMethod(value)
    if wrap == "sparse":
        import scipy.sparse

        flat = value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
        usable = value.dtype.kind in "iub" or value.dtype in (np.float32, np.float64)
        return scipy.sparse.csr_array(flat) if usable and value.dtype.isnative else value
    if wrap == "generator":
        return iter(value) if value.ndim else value
    return value
