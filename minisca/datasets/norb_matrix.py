"""The binary matrix files of NORB: a magic number, the rank, the sides, then the elements.

Everything is little-endian. The magic number names the type of an element; the rank and the sides
are int32, of which at least three follow even where the rank is 1 or 2 (the rest are padding). A
header is a claim: nothing is allocated for it before the file has shown as many bytes.
"""

import math
import os
import struct

import numpy as np

from minisca.datasets.errors import DatasetError
from minisca.datasets.packing import GZIP_MAGIC, packed, unpacked
from minisca.datasets.payload import read_payload
from minisca.files.atomic import atomic_write

#: Element types by magic number, as they lie in the file.
TYPES = {
    0x1E3D4C51: np.dtype("<f4"),
    0x1E3D4C53: np.dtype("<f8"),
    0x1E3D4C54: np.dtype("<i4"),
    0x1E3D4C55: np.dtype("u1"),
    0x1E3D4C56: np.dtype("<i2"),
}
PACKED_MATRIX = 0x1E3D4C52
LARGEST_RANK = 8
LEAST_SIDES = 3


def read_norb_matrix(path):
    """Read a matrix file of NORB's, plain or (where `path` ends in .gz) gzipped.

    Returns a writable array of the file's own shape, rank 1 to 8: uint8, int16, int32, float32 or
    float64, in native byte order. Raises DatasetError (a ValueError) if the file is not exactly
    such a file: another magic number or rank, a side below 1, fewer or more bytes than the header
    declares, a damaged gzip file; and for the packed matrices that the format knows but NORB does
    not use. Memory grows with the bytes that are there, never with those that the header promises.
    """
    path = os.fspath(path)
    with open(path, "rb") as file, unpacked(file, path) as contents:
        dtype = _read_type(contents, path)
        shape, header = _read_shape(contents, path)
        declared = math.prod(shape) * dtype.itemsize  # Python's integers: no overflow
        sides = f"{' x '.join(map(str, shape))} of {dtype.name}"
        size = os.fstat(file.fileno()).st_size
        payload = read_payload(contents, declared, size, header, sides, path)
    array = np.frombuffer(payload, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def write_norb_matrix(path, array):
    """Write `array`, of rank 1 to 8, as a matrix file of NORB's; gzipped where `path` ends in .gz.

    The file appears whole or not at all. Raises TypeError for a dtype that the format does not
    have, ValueError for another rank or a side of 0.
    """
    array = np.asarray(array)
    magic = {dtype.newbyteorder("="): magic for magic, dtype in TYPES.items()}.get(array.dtype)
    if magic is None:
        raise TypeError(
            f"array has dtype {array.dtype}; it must be uint8, int16, int32, float32 or float64"
        )
    if not 1 <= array.ndim <= LARGEST_RANK or 0 in array.shape:
        raise ValueError(
            f"array has shape {array.shape}; it must have rank 1 to {LARGEST_RANK} and no side of 0"
        )
    sides = [*array.shape, *[1] * (LEAST_SIDES - array.ndim)]
    with atomic_write(path) as file, packed(file, path) as contents:
        contents.write(struct.pack(f"<Ii{len(sides)}i", magic, array.ndim, *sides))
        contents.write(np.ascontiguousarray(array, TYPES[magic]))


def _read_type(file, path):
    magic = file.read(4)
    expected = "it must be 51, 53, 54, 55 or 56 and 4c 3d 1e: a matrix of NORB's"
    found = f"{path} starts with {magic.hex(' ')}"
    if len(magic) < 4:
        raise DatasetError(
            f"{path} ends inside its magic number, after {len(magic)} of 4 bytes; {expected}"
        )
    if magic.startswith(GZIP_MAGIC):
        raise DatasetError(f"{found}: a gzip file, but its name does not end in .gz; rename it")
    (number,) = struct.unpack("<I", magic)
    if number == PACKED_MATRIX:
        raise DatasetError(f"{found}, a packed matrix, which NORB does not use; {expected}")
    if number not in TYPES:
        raise DatasetError(f"{found}; {expected}")
    return TYPES[number]


def _read_shape(file, path):
    """Check rank and sides; returns the shape and the bytes of the header before the elements."""
    rank = _read_int(file, "its rank", path)
    if not 1 <= rank <= LARGEST_RANK:
        raise DatasetError(f"{path} declares a rank of {rank}; it must be 1 to {LARGEST_RANK}")
    declared = max(rank, LEAST_SIDES)
    sides = [_read_int(file, f"side {axis} of {declared}", path) for axis in range(1, declared + 1)]
    for axis, side in enumerate(sides[:rank], start=1):
        if side < 1:
            raise DatasetError(
                f"{path} declares that side {axis} of {rank} is {side}; it must be 1 or more"
            )
    return tuple(sides[:rank]), 8 + 4 * declared


def _read_int(file, what, path):
    field = file.read(4)
    if len(field) < 4:
        raise DatasetError(
            f"{path} ends inside its header, after {len(field)} of the 4 bytes of {what}"
        )
    return struct.unpack("<i", field)[0]
