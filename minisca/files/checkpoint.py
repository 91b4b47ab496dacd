"""Checkpoints: named arrays and settings in one .npz file, written whole or not at all.

A plain zip archive of .npy entries, so `numpy.load` reads the arrays too, plus one entry of JSON
text for what is not an array. Nothing is pickled: opening anyone's file runs no code of theirs.
"""

import contextlib
import io
import json
import os
import struct
import zipfile

import numpy as np

from minisca.files.atomic import atomic_write
from minisca.validation import misfits

FORMAT_VERSION = 1

_FORMAT = "minisca checkpoint"
_HEADER = "minisca"  # the entry that holds the JSON text
_HEADER_KEYS = {"format", "version", "kind", "settings"}
_DATE = (1980, 1, 1, 0, 0, 0)  # a fixed date: the same contents give the same bytes

# What zipfile and NumPy raise on bytes that are not what they were.
_DAMAGE = (zipfile.BadZipFile, struct.error, EOFError, OSError, ValueError, KeyError)
_DAMAGE += (RuntimeError, OverflowError, MemoryError)


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
    for name, array in arrays.items():
        if not isinstance(name, str) or not name or name == _HEADER:
            must = f"it must be text, not empty and not {_HEADER!r}"
            raise ValueError(f"array name is {name!r}; {must}")
        if array.dtype.kind not in "biufcUS":
            raise TypeError(
                f"array {name!r} has dtype {array.dtype}; it must be bool, numbers or text"
            )
        if not _is_finite(array):
            raise ValueError(f"array {name!r} has NaN or infinite values; all must be finite")
    header = {"format": _FORMAT, "version": FORMAT_VERSION, "kind": kind, "settings": settings}
    text = json.dumps(header, default=_json_scalar, allow_nan=False)
    entries = {_HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in entries.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            entry.external_attr = 0o600 << 16
            with archive.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def load_checkpoint(path, kind):
    """Read what `save_checkpoint(path, kind, ...)` wrote: arrays {name: array}, settings (dict).

    Raises CheckpointError if the file is no checkpoint, is damaged or cut short, has another format
    version, holds another kind, or an array in it is not finite; OSError if it cannot be opened.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        start = file.read(4)
        if start != b"PK\x03\x04":
            found = "is empty" if not start else "is not a .npz file"
            raise CheckpointError(f"{path} {found}; it must be a checkpoint saved by minisca")
        try:
            entries = _read_entries(file)
        except _DAMAGE as error:
            raise CheckpointError(
                f"{path} is damaged or cut short ({error}); it must be a whole checkpoint "
                "saved by minisca"
            ) from error
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


@contextlib.contextmanager
def fitting(path):
    """Within the block, a TypeError or ValueError means that the file's settings do not fit."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{os.fspath(path)} has settings that do not fit: {error}") from error


def random_state_from_json(data):
    """A new generator in the state `data`, of a `numpy.random.default_rng`, or a ValueError."""
    name = data.get("bit_generator") if isinstance(data, dict) else None
    if name != "PCG64":
        raise ValueError(f"random state has the generator {name!r}; it must be one of PCG64")
    bit_generator = np.random.PCG64()
    try:
        bit_generator.state = data
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"random state of {name} is not complete: {error!r}") from error
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


def _read_entries(file):
    """Every .npy entry of the archive by name; zipfile checks each against its CRC-32."""
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise zipfile.BadZipFile("an entry is compressed")
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(name)), allow_pickle=False
            )
            for name in archive.namelist()
        }


def _parse_header(path, entry):
    """The JSON header as a dict with all its keys, of a version that this minisca reads."""
    must = "it must be a checkpoint saved by minisca"
    if entry is None:
        raise CheckpointError(f"{path} is a .npz file without a {_HEADER!r} entry; {must}")
    try:
        header = json.loads(entry.tobytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} has a header that is not JSON ({error}); {must}") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError(f"{path} has a header of something else; {must}")
    if header.get("version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {header.get('version')}; "
            f"this minisca reads version {FORMAT_VERSION}"
        )
    if not set(header) >= _HEADER_KEYS or not isinstance(header["settings"], dict):
        raise CheckpointError(f"{path} has an incomplete header; {must}")
    return header
