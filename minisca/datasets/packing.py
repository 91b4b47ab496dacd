"""A file's contents, gzipped or not: the ending of its name decides, nothing is guessed."""

import contextlib
import gzip
import os
import zlib

from minisca.datasets.errors import DatasetError

GZIP_MAGIC = b"\x1f\x8b"

# Deflate's shortest code is 2 bits for 258 bytes, so no gzip file unpacks to more than this factor.
LARGEST_RATIO = 1032


def is_packed(path):
    """Whether `path` is named as a gzip file."""
    return os.fspath(path).endswith(".gz")


@contextlib.contextmanager
def unpacked(file, path):
    """Yield `file`, or what reads it unpacked where `path` ends in .gz.

    Raises DatasetError if a .gz file is no gzip file, ends too early or is damaged.
    """
    if not is_packed(path):
        yield file
        return
    start = file.read(2)
    file.seek(0)
    if start != GZIP_MAGIC:
        found = f"starts with {start.hex(' ')}" if start else "is empty"
        raise DatasetError(f"{path} {found}; a gzip file (its name ends in .gz) starts with 1f 8b")
    try:
        with gzip.GzipFile(mode="rb", fileobj=file) as contents:
            yield contents
    except EOFError as error:
        raise DatasetError(
            f"{path} is a truncated gzip file: it ends before its compressed contents do"
        ) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is a damaged gzip file: {error}") from error
