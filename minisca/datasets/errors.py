"""What can be wrong with a data set: every message names the file, what it is, what it must be."""


class DatasetError(ValueError):
    """A data file is damaged, truncated or of another kind, or two files do not fit together."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """The files of a data set are not where they were said to be."""


class DownloadError(DatasetError):
    """No mirror gave the file: the message names each mirror and why it failed."""


class SampleWarning(UserWarning):
    """The small bundled sample stands in for the data set: its figures compare with nothing."""
