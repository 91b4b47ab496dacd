"""IDX files, the format of MNIST: a magic number, the sides as big-endian uint32, then the bytes.

The magic number is two zero bytes, the type of an element (0x08: uint8) and the rank.
"""

import struct

import numpy as np
from numpy.typing import ArrayLike

from minisca.datasets.array_file import read_array, read_field, read_magic, write_array
from minisca.datasets.errors import DatasetError
from minisca.types import Array, PathLike

UINT8 = 0x08
OTHER_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
LARGEST_RANK = 4


def read_idx(path: PathLike) -> Array:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : the file's; it is gzipped where that ends in .gz

    Returns
    -------
    writable uint8 array of the file's own shape, rank 1 to 4

    Raises
    ------
    DatasetError (a ValueError) for any other file and a damaged or truncated one; OSError if it
    cannot be opened. Memory grows with the bytes that are there, not with those that are declared.
    """
    return read_array(path, _read_header)


def write_idx(path: PathLike, array: ArrayLike) -> None:
    """Write an IDX file: whole or not at all, and the same array always gives the same bytes.

    Parameters
    ----------
    path : gzipped where it ends in .gz
    array : uint8 array of rank 1 to 4

    Raises
    ------
    TypeError for another dtype, ValueError for another rank or a side of 0.
    """
    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise TypeError(f"array has dtype {array.dtype}; it must be uint8")
    write_array(path, idx_header(array.shape), array)


def idx_header(shape):
    """The first bytes of an IDX file of this `shape`; ValueError if there is no such file."""
    if not 1 <= len(shape) <= LARGEST_RANK:
        raise ValueError(f"array has shape {shape}; an IDX file here has rank 1 to {LARGEST_RANK}")
    if not all(1 <= side < 1 << 32 for side in shape):
        raise ValueError(f"array has shape {shape}; every side must be from 1 to {(1 << 32) - 1}")
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, UINT8, len(shape), *shape)


def _read_header(file, path):
    """dtype, shape, bytes of the header, shape as text; checked field by field."""
    rank = _read_rank(file, path)
    follow = f"its rank is {rank}, so {rank} sides of 4 bytes must follow the magic number"
    shape = []
    for axis in range(1, rank + 1):
        (side,) = struct.unpack(">I", read_field(file, path, f"side {axis}; {follow}"))
        if side == 0:
            raise DatasetError(f"{path} declares that side {axis} of {rank} is 0; it must not be")
        shape.append(side)
    return np.dtype(np.uint8), tuple(shape), 4 + 4 * rank, " x ".join(map(str, shape))


def _read_rank(file, path):
    expected = f"it must be 00 00 08 and a rank of 01 to {LARGEST_RANK:02}: IDX of unsigned bytes"
    magic, found = read_magic(file, path, expected)
    zeros, kind, rank = magic[:2], magic[2], magic[3]
    if zeros != b"\0\0":
        raise DatasetError(f"{found}, which is no IDX file; {expected}")
    if kind != UINT8:
        name = OTHER_TYPES.get(kind, "unknown to IDX")
        raise DatasetError(f"{found}: its type 0x{kind:02x} is {name}; {expected}")
    if not 1 <= rank <= LARGEST_RANK:
        raise DatasetError(f"{found}: its rank is {rank}; {expected}")
    return rank
