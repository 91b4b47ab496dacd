"""The arrays of an .npz archive, read without trusting a byte of it.

What NumPy and zipfile read is far more than `save_checkpoint` and `numpy.savez` write: compressed
and encrypted entries, any Python literal as an array's header, any number of entries at the same
place. Here only what those two write is read, in any of their versions: entries that are stored,
each once, plain arrays of numbers, booleans or text. Sizes are compared with the file's own before
anything is allocated, so that no file takes more memory or time than its length is worth.
"""

import math
import os
import re
import struct
import zlib
from typing import NamedTuple

import numpy as np

#: A directory's limits: entries, and bytes of their names and all else that it says of them.
MAX_ENTRIES = 1000
MAX_DIRECTORY = 1 << 20
#: Bytes of an array's header; NumPy's are 128 or little more.
MAX_HEADER = 4096

#: The records of a zip archive, little-endian, their signatures first.
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_PLACE_OF_END64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_UNKNOWN = 0xFFFFFFFF  # a number of four bytes that stands in an extra field of eight

_ENCRYPTED, _UTF8 = 1, 0x800

_HEADER = re.compile(
    r"\{'descr': '([<>|=]?)([biufcUSO])(\d{0,9})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,19}L?, ?){0,63})(\d{1,19}L?)?\),? ?\}[ \n]*"
)


class DamagedError(ValueError):
    """The file is no such archive, or not as it was written; the message says what is wrong."""


class _Entry(NamedTuple):
    name: bytes
    crc: int
    size: int
    place: int  # of its local header


def read_arrays(file):
    """{name: array} of an open binary file that seeks, the names without ".npy".

    Raises DamagedError for anything but a whole archive of stored .npy entries; OSError and
    MemoryError are the machine's.
    """
    arrays = {}
    for entry, name in _directory(file):
        if name in arrays:
            raise DamagedError(f"its directory has {name!r} twice")
        arrays[name] = _read_entry(file, entry, name)
    return arrays


def _read(file, place, size, what):
    file.seek(place)
    found = file.read(size)
    if len(found) < size:
        raise DamagedError(f"{what} is cut short")
    return found


def _unpack(record, data, signature, what, start=0):
    """The numbers of a record after its signature, which is checked."""
    if start + record.size > len(data) or data[start : start + 4] != signature:
        raise DamagedError(f"{what} is not where it should be")
    return record.unpack_from(data, start)[1:]


def _directory(file):
    """[(an _Entry, its array's name)], as the directory at the file's end lists them."""
    length = file.seek(0, os.SEEK_END)
    end = length - _END.size
    if end < 0:
        raise DamagedError("it is cut short")
    what = "the end of its directory"
    *_, n_entries, size, place, comment = _unpack(
        _END, _read(file, end, _END.size, what), b"PK\5\6", what
    )
    above = end - _PLACE_OF_END64.size - _END64.size
    if above >= 0:  # where the directory of a file beyond 2 GiB ends
        data = _read(file, above, end - above, what)
        if data[_END64.size :].startswith(b"PK\6\7"):
            *_, n_entries, size, place = _unpack(_END64, data, b"PK\6\6", what)
            end = above
    if n_entries > MAX_ENTRIES or size > MAX_DIRECTORY:
        must = f"at most {MAX_ENTRIES} and {MAX_DIRECTORY}"
        raise DamagedError(
            f"its directory has {n_entries} entries in {size} bytes; {must} are read"
        )
    if comment or place + size != end:
        raise DamagedError("its directory is not where its end says")
    data, entries, start = _read(file, place, size, "its directory"), [], 0
    for _ in range(n_entries):
        entry, name, start = _entry(data, start)
        entries.append((entry, name))
    if start != size:
        raise DamagedError("its directory is longer than its entries")
    if sum(entry.size for entry, _ in entries) > place:
        raise DamagedError("its entries promise more bytes than the file has")
    return entries


def _entry(data, start):
    """One entry of the directory, its array's name, and where the next begins."""
    what = "an entry of its directory"
    fields = _unpack(_ENTRY, data, b"PK\1\2", what, start)
    _, _, flags, method, _, _, crc, stored, size, n_name, n_extra, n_comment, _, _, _, place = (
        fields
    )
    start += _ENTRY.size
    end = start + n_name + n_extra + n_comment
    if end > len(data):
        raise DamagedError(f"{what} is cut short")
    raw, extra = data[start : start + n_name], data[start + n_name : end - n_comment]
    size, stored, place = _beyond_four_bytes(extra, size, stored, place)
    if flags & _ENCRYPTED:
        raise DamagedError("an entry is encrypted")
    if method != 0 or stored != size:
        raise DamagedError("an entry is compressed")
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise DamagedError("an entry's name is no text") from error
    if not name.endswith(".npy"):
        raise DamagedError(f"its entry {name!r} is no array")
    return _Entry(raw, crc, size, place), name.removesuffix(".npy"), end


def _beyond_four_bytes(extra, *numbers):
    """The numbers, those that four bytes do not hold from the extra field that has them."""
    wide = b""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        if kind == 1:
            wide = extra[4 : 4 + size]
        extra = extra[4 + size :]
    found = iter(struct.unpack(f"<{len(wide) // 8}Q", wide[: len(wide) // 8 * 8]))
    try:
        return [next(found) if number == _UNKNOWN else number for number in numbers]
    except StopIteration:
        raise DamagedError("an entry does not say its size") from None


def _read_entry(file, entry, name):
    """The array of an entry, compared with the checksum of all its bytes."""
    what = f"the entry {name!r}"
    data = _read(file, entry.place, _LOCAL.size, what)
    *_, n_name, n_extra = _unpack(_LOCAL, data, b"PK\3\4", what)
    if file.read(n_name) != entry.name:
        raise DamagedError(f"{what} is not where its directory says")
    start = entry.place + _LOCAL.size + n_name + n_extra
    head = _read(file, start, min(entry.size, MAX_HEADER), what)
    dtype, shape, order, n_head = _parse_header(head, what)
    size = math.prod(shape) * dtype.itemsize
    if entry.size != n_head + size:
        found = f"{what} has {entry.size - n_head} bytes"
        raise DamagedError(f"{found}; {dtype} of shape {shape} must have {size}")
    data = np.empty(size, np.uint8)
    file.seek(start + n_head)
    if file.readinto(data) != size:
        raise DamagedError(f"{what} is cut short")
    if zlib.crc32(data, zlib.crc32(head[:n_head])) != entry.crc:
        raise DamagedError(f"{what} has another checksum (CRC-32) than was written")
    try:
        array = np.ndarray(shape, dtype, data, order=order)
    except ValueError as error:  # too many sides, or too long ones beside one of 0
        raise DamagedError(f"{what}: {error}") from error
    if not _is_possible(array, data):
        raise DamagedError(f"{what} has values that {dtype} cannot have")
    return array


def _parse_header(head, what):
    """The dtype, shape, memory order and length of the header that a .npy entry begins with."""
    length = {1: 2, 2: 4, 3: 4}.get(head[6] if len(head) > 6 else None)  # by the format's version
    if head[:6] != b"\x93NUMPY" or length is None or len(head) < 8 + length:
        raise DamagedError(f"{what} is no .npy array")
    start = 8 + length
    end = start + int.from_bytes(head[8:start], "little")
    if end > len(head):
        raise DamagedError(f"{what} has a header that is too long")
    found = _HEADER.fullmatch(head[start:end].decode("latin-1"))
    if found is None:
        raise DamagedError(f"{what} has a header that is not one of numbers or text")
    order, kind, itemsize, fortran, sides, last = found.groups()
    if kind == "O":
        why = "cannot be loaded when allow_pickle=False"  # NumPy's words
        raise DamagedError(f"{what} has Python objects, which {why}")
    try:
        dtype = np.dtype(order + kind + itemsize)
    except TypeError:
        dtype = None
    if dtype is None or dtype.itemsize == 0 or (last and not sides):  # "(3)" is no tuple
        raise DamagedError(f"{what} has a header that is not one of numbers or text")
    shape = tuple(map(int, re.findall(r"\d+", sides + (last or ""))))
    return dtype, shape, "F" if fortran == "True" else "C", end


def _is_possible(array, data):
    """Whether booleans are 0 or 1, and text has code points that there are."""
    if array.dtype.kind == "b":
        return not (data > 1).any()
    if array.dtype.kind == "U":
        return not (data.view(array.dtype.str[0] + "u4") > 0x10FFFF).any()
    return True
