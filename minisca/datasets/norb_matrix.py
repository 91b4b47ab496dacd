"""The binary matrix files of NORB: a magic number, the rank, the sides, then the elements.

Everything is little-endian. The magic number names the type of an element; the rank and the sides
are int32, of which at least three follow even where the rank is 1 or 2 (the rest are padding).
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minisca.datasets.array_file import read_array, read_field, read_magic, write_array
from minisca.datasets.errors import DatasetError
from minisca.types import Array, PathLike

#: Element types by magic number, as they lie in the file.
TYPES: dict[int, np.dtype[Any]] = {
    0x1E3D4C51: np.dtype("<f4"),
    0x1E3D4C53: np.dtype("<f8"),
    0x1E3D4C54: np.dtype("<i4"),
    0x1E3D4C55: np.dtype("u1"),
    0x1E3D4C56: np.dtype("<i2"),
}
PACKED_MATRIX = 0x1E3D4C52
LARGEST_RANK = 8
LEAST_SIDES = 3


def read_norb_matrix(path: PathLike) -> Array:
    """Read a matrix file of NORB's.

    Parameters
    ----------
    path : the file's; it is gzipped where that ends in .gz

    Returns
    -------
    writable array of the file's own shape, rank 1 to 8
        uint8, int16, int32, float32 or float64, in native byte order.

    Raises
    ------
    As `read_idx`; DatasetError also for packed matrices, which NORB does not use.
    """
    return read_array(path, _read_header)


def write_norb_matrix(path: PathLike, array: ArrayLike) -> None:
    """Write a matrix file of NORB's: whole or not at all.

    Parameters
    ----------
    path : gzipped where it ends in .gz
    array : array of rank 1 to 8

    Raises
    ------
    TypeError for a dtype that the format does not have, ValueError for another rank or a side of 0.
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
    header = struct.pack(f"<Ii{len(sides)}i", magic, array.ndim, *sides)
    write_array(path, header, array.astype(TYPES[magic], copy=False))


def _read_header(file, path):
    """dtype, shape, bytes of the header, shape and dtype as text; checked field by field."""
    expected = "it must be 51, 53, 54, 55 or 56 and 4c 3d 1e: a matrix of NORB's"
    magic, found = read_magic(file, path, expected)
    (number,) = struct.unpack("<I", magic)
    if number == PACKED_MATRIX:
        raise DatasetError(f"{found}, a packed matrix, which NORB does not use; {expected}")
    if number not in TYPES:
        raise DatasetError(f"{found}; {expected}")
    rank = _read_int(file, path, "its rank")
    if not 1 <= rank <= LARGEST_RANK:
        raise DatasetError(f"{path} declares a rank of {rank}; it must be 1 to {LARGEST_RANK}")
    declared = max(rank, LEAST_SIDES)
    sides = [_read_int(file, path, f"side {axis} of {declared}") for axis in range(1, declared + 1)]
    for axis, side in enumerate(sides[:rank], start=1):
        if side < 1:
            raise DatasetError(
                f"{path} declares that side {axis} of {rank} is {side}; it must be 1 or more"
            )
    shape = tuple(sides[:rank])
    text = f"{' x '.join(map(str, shape))} of {TYPES[number].name}"
    return TYPES[number], shape, 8 + 4 * declared, text


def _read_int(file, path, what):
    return struct.unpack("<i", read_field(file, path, what))[0]
