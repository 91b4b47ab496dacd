"""The bytes after a header that declares how many they are: no more is allocated than is there."""

from minisca.datasets.errors import DatasetError
from minisca.datasets.packing import LARGEST_RATIO, is_packed

CHUNK = 1 << 20


def read_payload(contents, declared, size, header, sides, path):
    """Read what the header declares and no byte more; one byte more is an error, and so is less.

    Parameters
    ----------
    contents : binary file, unpacked, that stands at the end of its header
    declared : bytes that the header declares to follow
    size : bytes of the file itself, packed as it is
    header : bytes of the header
    sides : text, what the header declared, for messages
    path : the file's, for messages; a gzip file if it ends in .gz

    Returns a bytearray. Raises DatasetError, before anything is read where the file's size shows
    that it cannot hold what its header declares.
    """
    claim = f"{path} declares {sides} = {declared} bytes"
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
    payload = bytearray()
    while chunk := contents.read(min(CHUNK, declared + 1 - len(payload))):
        payload += chunk
    if len(payload) != declared:
        found = "more" if len(payload) > declared else f"only {len(payload)}"
        raise DatasetError(
            f"{claim}; after its header there must be exactly as many, but there are {found}"
        )
    return payload
