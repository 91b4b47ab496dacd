"""IDX files, the format of MNIST: a magic number, the sides as big-endian uint32, then the bytes.

The magic number is two zero bytes, the type of an element (0x08: uint8) and the rank. A header is
a claim: nothing is allocated for it before the file has shown as many bytes.
"""

import math
import os
import struct

import numpy as np

from minisca.datasets.errors import DatasetError
from minisca.datasets.packing import GZIP_MAGIC, packed, unpacked
from minisca.datasets.payload import read_payload
from minisca.files.atomic import atomic_write

UINT8 = 0x08
OTHER_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
LARGEST_RANK = 4


def read_idx(path):
    """Read an IDX file of unsigned bytes, plain or (where `path` ends in .gz) gzipped.

    Returns a writable uint8 array of the file's own shape, rank 1 to 4.
    Raises DatasetError (a ValueError) if the file is not exactly such a file: another magic number,
    type or rank, a side of 0, fewer or more bytes than the header declares, a damaged gzip file.
    Memory grows with the bytes that are there, never with those that the header promises.
    """
    path = os.fspath(path)
    with open(path, "rb") as file, unpacked(file, path) as contents:
        shape = _read_shape(contents, path)
        declared = math.prod(shape)  # Python's integers: no overflow
        size, header = os.fstat(file.fileno()).st_size, 4 + 4 * len(shape)
        sides = " x ".join(map(str, shape))
        payload = read_payload(contents, declared, size, header, sides, path)
    return np.frombuffer(payload, np.uint8).reshape(shape)


def write_idx(path, array):
    """Write a uint8 `array` of rank 1 to 4 as an IDX file, gzipped where `path` ends in .gz.

    The file appears whole or not at all, and the same array always gives the same bytes.
    Raises TypeError for another dtype, ValueError for another rank or a side of 0.
    """
    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise TypeError(f"array has dtype {array.dtype}; it must be uint8")
    header = idx_header(array.shape)
    with atomic_write(path) as file, packed(file, path) as contents:
        contents.write(header)
        contents.write(np.ascontiguousarray(array))


def idx_header(shape):
    """The bytes that an IDX file of a uint8 array of this `shape` starts with.

    Raises ValueError if the rank is not 1 to 4 or a side is not 1 to 2³² − 1.
    """
    if not 1 <= len(shape) <= LARGEST_RANK:
        raise ValueError(f"array has shape {shape}; an IDX file here has rank 1 to {LARGEST_RANK}")
    if not all(1 <= side < 1 << 32 for side in shape):
        raise ValueError(f"array has shape {shape}; every side must be from 1 to {(1 << 32) - 1}")
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, UINT8, len(shape), *shape)


def _read_shape(file, path):
    """Check the header field by field; returns the sides as a tuple of ints."""
    rank = _read_rank(file, path)
    sides = []
    for axis in range(1, rank + 1):
        field = file.read(4)
        if len(field) < 4:
            raise DatasetError(
                f"{path} ends inside its header, after {len(field)} of the 4 bytes of side {axis}; "
                f"its rank is {rank}, so {rank} sides of 4 bytes must follow the magic number"
            )
        (side,) = struct.unpack(">I", field)
        if side == 0:
            raise DatasetError(f"{path} declares that side {axis} of {rank} is 0; it must not be")
        sides.append(side)
    return tuple(sides)


def _read_rank(file, path):
    expected = f"it must be 00 00 08 and a rank of 01 to {LARGEST_RANK:02}: IDX of unsigned bytes"
    magic = file.read(4)
    found = f"{path} starts with {magic.hex(' ')}"
    if len(magic) < 4:
        raise DatasetError(
            f"{path} ends inside its magic number, after {len(magic)} of 4 bytes; {expected}"
        )
    if magic.startswith(GZIP_MAGIC):
        raise DatasetError(f"{found}: a gzip file, but its name does not end in .gz; rename it")
    zeros, kind, rank = magic[:2], magic[2], magic[3]
    if zeros != b"\0\0":
        raise DatasetError(f"{found}, which is no IDX file; {expected}")
    if kind != UINT8:
        name = OTHER_TYPES.get(kind, "unknown to IDX")
        raise DatasetError(f"{found}: its type 0x{kind:02x} is {name}; {expected}")
    if not 1 <= rank <= LARGEST_RANK:
        raise DatasetError(f"{found}: its rank is {rank}; {expected}")
    return rank
