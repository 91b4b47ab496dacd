"""What can be wrong with a data set: every message names the file, what it is, what it must be."""

import contextlib


class DatasetError(ValueError):
    """A data file is damaged, truncated or of another kind, or two files do not fit together."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """The files of a data set are not where they were said to be."""


class DownloadError(DatasetError):
    """No mirror gave the file: the message names each mirror and why it failed."""


class SampleWarning(UserWarning):
    """The small bundled sample stands in for the data set: its figures compare with nothing."""


@contextlib.contextmanager
def within_memory(what):
    """Raise DatasetError, naming `what`, where there is too little memory for what the block does.

    A gzip file of some megabytes may unpack to gigabytes, as its header says or not.
    """
    try:
        yield
    except MemoryError as error:
        raise DatasetError(f"{what} needs more memory than there is") from error
