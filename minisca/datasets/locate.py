"""Where the files of a data set lie: in a directory that was named, in its usual folder, cached."""

import os
from pathlib import Path

from minisca.datasets.errors import DatasetNotFoundError


def cache_directory(name):
    """Where downloads are kept: `minisca/<name>` in the user's cache directory."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "minisca" / name


def locate(directory, what, folder, names, present, files, required):
    """The paths of a data set's files in `directory` or in its `folder`, by role.

    Parameters
    ----------
    what : what named the directory, "data_dir" or "MINISCA_DATA"
    names : {role: file name}, all of them
    present : function of a directory that returns {role: path} of those that it has
    files : what they are called together, in messages
    required : whether it is an error that there is none of them; if not, None is returned

    Raises DatasetNotFoundError if `directory` is none, or has some of the files but not all.
    """
    directory = Path(directory).expanduser()
    if not directory.is_dir():
        raise DatasetNotFoundError(f"{what} is {str(directory)!r}; it must be a directory")
    found = [present(place) for place in (directory, directory / folder)]
    fullest = max(found, key=len)
    if len(fullest) == len(names):
        return fullest
    if fullest or required:
        missing = ", ".join(name for role, name in names.items() if role not in fullest)
        raise DatasetNotFoundError(
            f"{what} is {str(directory)!r}; it or its folder {folder} must have {files}, "
            f"missing are {missing}"
        )
    return None


def name_after(folder, *official, note="not the original files"):
    """The name of a data set that is not known as the original: its directory's, never that one.

    official: directory names that the original goes by, in lower case; they get the `note`.
    """
    return f"{folder.name} ({note})" if folder.name.lower() in official else folder.name
