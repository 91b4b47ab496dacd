"""Fetch one file from the first of several mirrors that serves it whole and unaltered."""

import contextlib
import hashlib
from pathlib import Path

from minisca.datasets.errors import DatasetError, DownloadError
from minisca.datasets.packing import unpacked
from minisca.files.atomic import atomic_write
from minisca.progress import progress

CHUNK = 1 << 18
ALGORITHMS = {"sha256": "SHA-256", "md5": "MD5"}


def download(
    urls, target, checksum, timeout=5.0, max_bytes=1 << 30, algorithm="sha256", as_served=False
):
    """Download `target` from the first of `urls` whose contents have the given checksum.

    The file, a pathlib.Path, is written whole or not at all and may have at most `max_bytes`,
    packed or not. checksum: hexadecimal, of the contents, unpacked where `target` ends in .gz
    (mirrors compress differently), or of the file `as_served`; algorithm: "md5" where its owner
    publishes nothing better. timeout: seconds for connecting, for the headers and for each pause; a
    file that comes at less than 1 kB/s is given up, so that no mirror takes longer than
    `max_bytes` at that rate. Raises DownloadError, naming each mirror and why it failed; OSError
    where the file cannot be written.
    """
    from minisca.datasets.mirror import asking  # longer to import than the rest of this package

    target = Path(target)
    name, failures = target.name, []
    for url in urls:
        try:
            with asking(url, timeout) as answer, atomic_write(target) as file:
                _copy(answer, file, name, max_bytes)
                file.seek(0)
                with (
                    contextlib.nullcontext(file) if as_served else unpacked(file, name) as contents
                ):
                    found = _digest(contents, name, algorithm, max_bytes)
                if found != checksum:
                    raise DatasetError(
                        f"the {'bytes' if as_served else 'contents'} of {name} have "
                        f"{ALGORITHMS[algorithm]} {found}; they must have {checksum}"
                    )
            return target
        except DatasetError as error:
            failures.append(f"\n  {url}: {error}")
    raise DownloadError(f"{name} could not be downloaded:{''.join(failures)}")


def _copy(answer, file, name, max_bytes):
    total, received = answer.length, 0
    _check_length(total or 0, name, max_bytes)
    with progress(verbose=True, total=total, desc=name, unit="B") as bar:
        while piece := answer.read():
            received += len(piece)
            _check_length(received, name, max_bytes)
            file.write(piece)
            bar.update(len(piece))
    if total is not None and received != total:
        raise DatasetError(f"{name} broke off after {received} of {total} bytes")


def _check_length(length, name, max_bytes):
    if length > max_bytes:
        raise DatasetError(f"{name} is longer than {max_bytes} bytes; it must not be")


def _digest(contents, name, algorithm, max_bytes):
    digest = hashlib.new(algorithm, usedforsecurity=False)
    length = 0
    while chunk := contents.read(CHUNK):
        length += len(chunk)
        if length > max_bytes:
            raise DatasetError(f"{name} unpacks to more than {max_bytes} bytes; it must not")
        digest.update(chunk)
    return digest.hexdigest()
