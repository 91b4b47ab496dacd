"""What IDX files and NORB's matrix files have in common: a magic number, sides, then the elements.

A header is a claim: nothing is allocated for it before the file has shown as many bytes.
"""

import gzip
import math
import os

import numpy as np

from minisca.datasets.errors import DatasetError, within_memory
from minisca.datasets.packing import GZIP_MAGIC, LARGEST_RATIO, is_packed, unpacked
from minisca.files.atomic import atomic_write

CHUNK = 1 << 20


def read_array(path, read_header):
    """A writable array in native byte order: a header and exactly what it declares.

    read_header(file, path) returns the dtype and the shape that the header declares, the header's
    bytes, and the shape as text for messages. Raises DatasetError for another number of bytes
    (before anything is read where the file's size shows it), for a damaged gzip file and for one
    that takes more memory than there is.
    """
    path = os.fspath(path)
    with within_memory(path), open(path, "rb") as file, unpacked(file, path) as contents:
        dtype, shape, header, sides = read_header(contents, path)
        declared = math.prod(shape) * dtype.itemsize  # Python's integers: no overflow
        claim = f"{path} declares {sides} = {declared} bytes"
        _check_size(os.fstat(file.fileno()).st_size, path, declared, header, claim)
        payload = bytearray()
        while chunk := contents.read(min(CHUNK, declared + 1 - len(payload))):
            payload += chunk
        if len(payload) != declared:
            found = "more" if len(payload) > declared else f"only {len(payload)}"
            raise DatasetError(
                f"{claim}; after its header there must be exactly as many, but there are {found}"
            )
        array = np.frombuffer(payload, dtype).reshape(shape)
        return array.astype(dtype.newbyteorder("="), copy=False)


def write_array(path, header, array):
    """Write whole or not at all; gzipped, where `path` ends in .gz, with neither name nor time."""
    contents = header + array.tobytes()
    if is_packed(path):
        contents = gzip.compress(contents, mtime=0)
    with atomic_write(path) as file:
        file.write(contents)


def read_magic(file, path, expected):
    """The 4 bytes that a file starts with, and "PATH starts with ..."; `expected` is for messages.

    Raises DatasetError for fewer, and for those of a gzip file.
    """
    magic = file.read(4)
    found = f"{path} starts with {magic.hex(' ')}"
    if len(magic) < 4:
        raise DatasetError(
            f"{path} ends inside its magic number, after {len(magic)} of 4 bytes; {expected}"
        )
    if magic.startswith(GZIP_MAGIC):
        raise DatasetError(f"{found}: a gzip file, but its name does not end in .gz; rename it")
    return magic, found


def read_field(file, path, what):
    """The next 4 bytes of a header, `what` in messages; DatasetError where there are fewer."""
    field = file.read(4)
    if len(field) < 4:
        raise DatasetError(
            f"{path} ends inside its header, after {len(field)} of the 4 bytes of {what}"
        )
    return field


def _check_size(size, path, declared, header, claim):
    """Refuse a file whose own size, packed as it is, cannot hold what its header declares."""
    if is_packed(path):
        if declared > size * LARGEST_RATIO:
            raise DatasetError(
                f"{claim}; its {size} gzipped bytes cannot unpack to more than "
                f"{size * LARGEST_RATIO}"
            )
    elif declared != size - header:
        raise DatasetError(
            f"{claim}; after its header of {header} bytes there must be exactly as many, "
            f"but there are {size - header}"
        )
