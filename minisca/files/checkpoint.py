"""Checkpoints: named arrays and settings in one .npz file, written whole or not at all.

A plain zip archive of .npy entries, so `numpy.load` reads the arrays too, plus one entry of JSON
text for what is not an array. Nothing is pickled: opening anyone's file runs no code of theirs.
"""

import contextlib
import json
import os
import zipfile
from typing import NamedTuple

import numpy as np

from minisca.files.archive import MAX_ENTRIES, DamagedError, read_arrays
from minisca.files.atomic import atomic_write, naming
from minisca.validation import misfits

FORMAT_VERSION = 1

_FORMAT = "minisca checkpoint"
_HEADER = "minisca"  # the entry that holds the JSON text
_HEADER_KEYS = {"format", "version", "kind", "settings"}
_MAX_HEADER = 1 << 20  # bytes of the JSON text; a layer's is about 1,000
_MAX_NAME = 200  # characters of an array's name
_DATE = (1980, 1, 1, 0, 0, 0)  # a fixed date: the same contents give the same bytes

#: What dtypes a learned array may have beside a single one, as `Learned` names them.
FLOATS = "float32 or float64"
LABELS = "whole numbers, booleans or text"


class CheckpointError(ValueError):
    """A file that cannot be used; the message names it, what it holds, and what it must hold."""


def save_checkpoint(path, kind, arrays, settings):
    """Write `arrays` and `settings` to exactly `path`, replacing it in one step.

    Missing parent directories are created, no extension is added. kind: what the file holds, such
    as "LogisticRegression"; `load_checkpoint` asks for it. arrays: {name: array} of bool, numbers
    or text; names may contain "/". settings: a dict of what JSON can hold; NumPy scalars become
    numbers, tuples become lists. Raises TypeError or ValueError for what would need a pickle and
    for NaN or infinity; `path` is then as it was.
    """
    arrays = {name: np.asanyarray(array) for name, array in arrays.items()}
    if len(arrays) >= MAX_ENTRIES:
        raise ValueError(f"there are {len(arrays)} arrays; there must be fewer than {MAX_ENTRIES}")
    for name, array in arrays.items():
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or name == _HEADER:
            must = f"it must be text, not empty, not {_HEADER!r}, at most {_MAX_NAME} characters"
            raise ValueError(f"array name is {name!r}; {must}")
        if array.dtype.kind not in "biufcUS":
            raise TypeError(
                f"array {name!r} has dtype {array.dtype}; it must be bool, numbers or text"
            )
        if not _is_finite(array):
            raise ValueError(f"array {name!r} has NaN or infinite values; all must be finite")
    header = {"format": _FORMAT, "version": FORMAT_VERSION, "kind": kind, "settings": settings}
    text = _as_json(header).encode()
    if len(text) > _MAX_HEADER:
        raise ValueError(f"settings take {len(text)} bytes; they must take at most {_MAX_HEADER}")
    entries = {_HEADER: np.frombuffer(text, np.uint8), **arrays}
    with atomic_write(path) as file:
        archive = None
        try:
            archive = zipfile.ZipFile(file, "w")
            for name, array in entries.items():
                entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
                entry.external_attr = 0o600 << 16
                with archive.open(entry, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
            archive.close()
        finally:
            if archive is not None:
                archive.fp = None  # half of one is not closed: that would raise another error


def as_read(settings):
    """The settings as `load_checkpoint` returns them after `save_checkpoint`, which see."""
    return json.loads(_as_json(settings))


def _as_json(data):
    return json.dumps(data, default=_json_scalar, allow_nan=False)


def load_checkpoint(path, kind):
    """Read what `save_checkpoint(path, kind, ...)` wrote: arrays {name: array}, settings (dict).

    Raises CheckpointError if the file is no checkpoint, is damaged or cut short, has another format
    version, holds another kind, or an array in it is not finite; OSError that names it if it cannot
    be opened or read, MemoryError if this machine's memory does not hold what is in it.
    """
    path = os.fspath(path)
    with naming(path), open(path, "rb") as file:
        start = file.read(4)
        if start != b"PK\x03\x04":
            found = "is empty" if not start else "is not a .npz file"
            raise CheckpointError(f"{path} {found}; it must be a checkpoint saved by minisca")
        try:
            entries = read_arrays(file)
        except DamagedError as error:
            raise CheckpointError(
                f"{path} is damaged or cut short ({error}); it must be a whole checkpoint "
                "saved by minisca"
            ) from error
        except MemoryError as error:
            raise MemoryError(f"{path} is too large for this machine's memory: {error}") from error
    header = _parse_header(path, entries.pop(_HEADER, None))
    if header["kind"] != kind:
        raise CheckpointError(f"{path} holds a {header['kind']}; it must hold a {kind}")
    for name, array in entries.items():
        if not _is_finite(array):
            raise CheckpointError(
                f"{path}: array {name!r} has NaN or infinite values; all must be finite"
            )
    return entries, header["settings"]


def require(path, arrays, shapes, settings=None, names=(), dtypes=None):
    """Check that a loaded checkpoint has what its reader needs.

    shapes: as of `minisca.validation.misfits`. settings, names: every name must be a key of the
    settings. dtypes: {array name: dtype}.

    Raises CheckpointError naming `path` and what is missing or has another shape or dtype.
    """
    path = os.fspath(path)
    for what, wanted, found in (("setting", names, settings), ("array", shapes, arrays)):
        for name in wanted:
            if name not in found:
                raise CheckpointError(f"{path} lacks the {what} {name!r}")
    for name, shape, must in misfits(arrays, shapes):
        raise CheckpointError(f"{path}: array {name!r} has shape {shape}; it must be {must}")
    for name, dtype in (dtypes or {}).items():
        found = arrays[name].dtype
        if found != dtype:
            raise CheckpointError(f"{path}: array {name!r} has dtype {found}; it must be {dtype}")


class Learned(NamedTuple):
    """What a learned array must be, in a file as in memory."""

    #: As `require` has it.
    shape: tuple
    #: A dtype's name; FLOATS, the same for all arrays of a table that have it; or LABELS: those of
    #: two classes or more, sorted, each once.
    dtype: str
    #: The smallest number that it may have.
    least: float = -np.inf


def require_learned(path, arrays, table):
    """Check the arrays of a loaded checkpoint by a table, {name: Learned}; see `require`.

    Raises CheckpointError naming `path`, and which array is not as it must be.
    """
    dtypes, of_floats = {}, None
    for name, wanted in table.items():
        if name not in arrays:
            continue  # `require` says it
        dtypes[name], found = wanted.dtype, arrays[name].dtype
        if wanted.dtype == FLOATS:
            of_floats = of_floats or (found if found in (np.float32, np.float64) else FLOATS)
            dtypes[name] = of_floats
        elif wanted.dtype == LABELS and found.kind in "biuU":
            dtypes[name] = found
    require(path, arrays, {name: wanted.shape for name, wanted in table.items()}, dtypes=dtypes)
    for name, wanted in table.items():
        array = arrays[name]
        if wanted.dtype == LABELS:
            if len(array) < 2 or not (array[:-1] < array[1:]).all():
                must = "they must be two or more, sorted, each once"
                raise CheckpointError(f"{os.fspath(path)}: labels in {name!r} are wrong; {must}")
        elif array.size and array.min() < wanted.least:
            found = f"array {name!r} has {array.min():g}"
            raise CheckpointError(f"{os.fspath(path)}: {found}; it must be at least {wanted.least}")


@contextlib.contextmanager
def fitting(path):
    """Within the block, an error of a setting's type or value means that the file does not fit."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        why = str(error)
        why = why if len(why) < 1000 else f"{why[:1000]} ..."
        raise CheckpointError(f"{os.fspath(path)} has settings that do not fit: {why}") from error


def random_state_from_json(data):
    """A new generator in the state `data`, of a `numpy.random.default_rng`, or a ValueError."""
    name = data.get("bit_generator") if isinstance(data, dict) else None
    if name != "PCG64":
        raise ValueError(f"random state has the generator {name!r}; it must be one of PCG64")
    bit_generator = np.random.PCG64(0)  # no new seed is wanted
    try:
        bit_generator.state = data
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise ValueError(f"random state of {name} is not complete: {error!r}") from error
    # What NumPy takes and does not keep, or what never comes of a seed: an even increment.
    if bit_generator.state != data or data["state"]["inc"] % 2 == 0:
        raise ValueError(f"random state of {name} is {data!r}, in which no generator can be")
    return np.random.Generator(bit_generator)


def _is_finite(array):
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _json_scalar(value):
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    raise TypeError(
        f"settings hold {value!r} ({type(value).__name__}); they must be numbers, text, booleans, "
        "None, lists and dicts"
    )


def _parse_header(path, entry):
    """The JSON header as a dict with all its keys, of a version that this minisca reads."""
    must = "it must be a checkpoint saved by minisca"
    if entry is None:
        raise CheckpointError(f"{path} is a .npz file without a {_HEADER!r} entry; {must}")
    if entry.dtype != np.uint8 or entry.size > _MAX_HEADER:
        found = f"{entry.size} numbers of {entry.dtype}"
        raise CheckpointError(f"{path} has a header of something else, {found}; {must}")
    try:
        header = json.loads(entry.tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} has a header that is not JSON ({error}); {must}") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError(f"{path} has a header of something else; {must}")
    version, kind = header.get("version"), header.get("kind")
    if type(version) is not int or version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {repr(version)[:50]}; "
            f"this minisca reads version {FORMAT_VERSION}"
        )
    if not set(header) >= _HEADER_KEYS or not isinstance(header["settings"], dict):
        raise CheckpointError(f"{path} has an incomplete header; {must}")
    if not isinstance(kind, str) or not kind.isprintable() or len(kind) > 100:
        raise CheckpointError(f"{path} says that it holds {repr(kind)[:50]}; {must}")
    return header
