"""Where the files of a data set lie: in a directory that was named, in its usual folder, cached."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from minisca.datasets.download import download as download_file
from minisca.datasets.errors import DatasetError, DatasetNotFoundError, DownloadError


class Source(NamedTuple):
    """Where the files of a data set are looked for, and how what is missing is fetched."""

    folders: tuple  # of a directory that was named, in which they may lie
    cache: str  # their folder in minisca's cache
    names: dict  # {role: file name}, all of them
    candidates: dict  # {role: file names}, the first that is there counts
    called: str  # what they are called together, in messages
    fetch: Callable  # (directory): download what it lacks, or raise DownloadError

    def present(self, folder):
        """{role: path} of those of the files that `folder` has."""
        found = {
            role: next((folder / name for name in names if (folder / name).is_file()), None)
            for role, names in self.candidates.items()
        }
        return {role: path for role, path in found.items() if path}

    def fetch_gzipped(self, cache, mirrors, checksums, **options):
        """Download into `cache` those files, gzipped, that it lacks; options as of `download`."""
        for role, name in self.names.items():
            if role not in self.present(cache):
                urls = [f"{mirror}{name}.gz" for mirror in mirrors]
                download_file(urls, cache / f"{name}.gz", checksums[role], **options)


CACHE_VARIABLE = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
CACHE_ADVICE = f"the environment variable {CACHE_VARIABLE} names another place for caches"


def cache_directory(name):
    """Where downloads are kept: `minisca/<name>` in the user's cache directory.

    Raises RuntimeError where the user has no home directory and no variable names another.
    """
    usual = ("AppData", "Local") if os.name == "nt" else (".cache",)
    base = os.environ.get(CACHE_VARIABLE) or Path.home().joinpath(*usual)
    return Path(base) / "minisca" / name


def find(source, data_dir, download):
    """Look in `data_dir`, and there alone if it is given; else in $MINISCA_DATA, then in the cache.

    download: whether what is missing may be fetched into the cache. Returns {role: path}, whether
    they lie in the cache, and "" or, where the files were not found, why, to end a sentence with.
    Raises as `locate`.
    """
    if data_dir is not None:
        return locate(source, data_dir, "data_dir", required=True), False, ""
    if os.environ.get("MINISCA_DATA"):
        paths = locate(source, os.environ["MINISCA_DATA"], "MINISCA_DATA", required=False)
        if paths:
            return paths, False, ""
    reason = "downloading was not allowed (download=False)"
    try:
        cache = cache_directory(source.cache)
        if download:
            try:
                source.fetch(cache)
            except DownloadError as error:
                reason = str(error)
        paths = source.present(cache)
    except (OSError, RuntimeError) as error:
        return {}, False, f"not there, and the cache cannot be used ({CACHE_ADVICE}): {error}"
    if len(paths) < len(source.names):
        return {}, False, f"neither there nor in the cache {cache} ({CACHE_ADVICE}); {reason}"
    return paths, True, ""


def locate(source, directory, what, required):
    """{role: path} of a data set's files in `directory` or in its folder of them.

    what: what named the directory. required: whether it is an error that there is none of them.
    Raises DatasetNotFoundError if `directory` is none, or has some of the files but not all.
    """
    directory = Path(directory).expanduser()
    if not directory.is_dir():
        raise DatasetNotFoundError(f"{what} is {str(directory)!r}; it must be a directory")
    found = [source.present(directory / folder) for folder in ("", *source.folders)]
    fullest = max(found, key=len)
    if len(fullest) < len(source.names) and (fullest or required):
        missing = ", ".join(name for role, name in source.names.items() if role not in fullest)
        raise DatasetNotFoundError(
            f"{what} is {str(directory)!r}; it or its folder "
            f"{' or '.join(source.folders)} must have {source.called}, missing are {missing}"
        )
    return fullest


def check_checksum(path, kind, found, whose, expected, advice=""):
    """Refuse a file in the cache that is not the original's."""
    if found != expected:
        raise DatasetError(
            f"{path} has {kind} {found}, but {whose} {expected}; "
            f"delete it to download it again{advice}"
        )


def name_after(folder, *official, note="not the original files"):
    """The name of a data set that is not known as the original: its directory's, never that one.

    official: directory names that the original goes by, in lower case; they get the `note`.
    Torchvision keeps what it has in `raw`: that is no name, but the directory above has one.
    """
    name = folder.parent.name if folder.name == "raw" else folder.name
    return f"{name} ({note})" if name.lower() in official else name
