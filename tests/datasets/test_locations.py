"""A data set is found where it was said to be, fetched once, and never replaced in silence."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from minisca.datasets import (
    DatasetError,
    DatasetNotFoundError,
    SampleWarning,
    cifar,
    load_cifar10,
    load_mnist,
    load_norb,
    mnist,
    norb,
)
from minisca.datasets.locate import cache_directory
from tests.support import cifar_files, mnist_files, norb_files
from tests.support.local_server import serving


class Case(NamedTuple):
    """A data set, its loader, and the module that makes its files for tests."""

    name: str
    module: ModuleType
    load: Callable
    maker: ModuleType

    @property
    def files(self):
        return list(self.module.FILES.values())

    @property
    def folder(self):
        return self.module.SOURCE.folders[0]

    def cache(self, caches):
        return caches / self.module.SOURCE.cache

    def put(self, directory, seed=0, served=False):
        """Write its files, unpacked or as a mirror has them; returns the directory."""
        noise = self.maker.noise(seed=seed)
        if self.module is cifar:
            return (cifar_files.put_archive if served else cifar_files.put)(directory, noise)
        return self.maker.put(directory, noise, ".gz" if served else "")

    def put_original(self, monkeypatch, directory):
        """Write its files as a mirror has them, and make them the original."""
        self.put(directory, served=True)
        if self.module is cifar:
            found = hashlib.md5((directory / cifar.ARCHIVE).read_bytes()).hexdigest()
        else:
            of = mnist_files.noise() if self.module is mnist else directory
            found = self.maker.checksums(of)
        monkeypatch.setattr(self.module, "MD5" if self.module is cifar else "SHA256", found)
        return directory

    @contextlib.contextmanager
    def served_from(self, monkeypatch, directory):
        """A server that has the directory's files is the last of the mirrors."""
        files = {f"/{path.name}": path.read_bytes() for path in directory.iterdir()}
        with serving(files) as server:
            monkeypatch.setattr(self.module, "MIRRORS", (*self.module.MIRRORS, f"{server}/"))
            yield


CASES = [
    Case("MNIST", mnist, load_mnist, mnist_files),
    Case("CIFAR-10", cifar, load_cifar10, cifar_files),
    Case("small NORB", norb, load_norb, norb_files),
]
FILES = [(case, name) for case in CASES for name in case.files]
each = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@contextlib.contextmanager
def does_without(case, *words):
    """The data set is not here: MNIST's sample stands in, with a warning; of others, an error."""
    if case.module is mnist:
        with pytest.warns(SampleWarning) as warned:
            yield
        message = str(warned[0].message)
    else:
        with pytest.raises(DatasetNotFoundError) as raised:
            yield
        message = str(raised.value)
    for word in words:
        assert str(word) in message


@each
def test_the_argument_comes_before_the_environment(tmp_path, monkeypatch, case):
    monkeypatch.setenv("MINISCA_DATA", str(case.put(tmp_path / "environment")))
    data = case.load(str(case.put(tmp_path / "argument")))
    assert data.name == "argument"
    assert data.source == str((tmp_path / "argument").resolve())


@each
@pytest.mark.parametrize("inside", [False, True])
def test_the_environment_comes_before_the_cache(tmp_path, monkeypatch, caches, case, inside):
    case.put_original(monkeypatch, case.cache(caches))
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path / "environment"))
    here = tmp_path / "environment" / (case.folder if inside else ".")
    case.put(here, 1)
    assert case.load().source == str(here.resolve())


@each
def test_an_environment_without_the_files_leads_on_to_the_cache(
    tmp_path, monkeypatch, caches, case
):
    cache = case.put_original(monkeypatch, case.cache(caches))
    for directory in ("", str(tmp_path)):
        monkeypatch.setenv("MINISCA_DATA", directory)
        data = case.load()
        assert data.name == case.name
        assert data.source == str(cache.resolve())


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA")
    base = "AppData/Local" if os.name == "nt" else ".cache"
    assert cache_directory("mnist") == tmp_path / "home" / base / "minisca" / "mnist"


@each
def test_an_argument_without_the_files_is_an_error_whatever_lies_elsewhere(
    tmp_path, monkeypatch, case
):
    monkeypatch.setenv("MINISCA_DATA", str(case.put(tmp_path / "environment")))
    (tmp_path / "argument").mkdir()
    with pytest.raises(FileNotFoundError) as error:
        case.load(tmp_path / "argument")
    assert isinstance(error.value, DatasetNotFoundError)
    assert str(error.value).startswith(f"data_dir is {str(tmp_path / 'argument')!r}")
    source = case.module.SOURCE
    words = f"{' or '.join(source.folders)} must have {source.called}, missing are "
    assert f"its folder {words}{', '.join(case.files)}" in str(error.value)


@pytest.mark.parametrize(("case", "name"), FILES, ids=[name for _, name in FILES])
def test_a_missing_file_is_named(tmp_path, monkeypatch, case, name):
    (case.put(tmp_path) / name).unlink()
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path))
    for data_dir in (tmp_path, None):
        with pytest.raises(DatasetNotFoundError, match=f"missing are {name}$"):
            case.load(data_dir)


@each
def test_what_is_no_directory_is_an_error(tmp_path, monkeypatch, case):
    monkeypatch.setenv("MINISCA_DATA", str(tmp_path / "absent"))
    for data_dir, what in ((tmp_path / "absent", "data_dir"), (None, "MINISCA_DATA")):
        message = rf"{what} is .*absent'; it must be a directory"
        with pytest.raises(DatasetNotFoundError, match=message):
            case.load(data_dir)


@each
def test_a_directory_of_that_name_does_not_make_it_the_original(tmp_path, case):
    for name in (case.folder, case.folder.upper()):
        found = case.load(case.put(tmp_path / name)).name
        assert found.startswith(f"{name} (not the original files")


@each
def test_what_is_missing_is_downloaded_into_the_cache_once(tmp_path, monkeypatch, caches, case):
    mirror = case.put_original(monkeypatch, tmp_path / "mirror")
    with case.served_from(monkeypatch, mirror):
        first = case.load()
    again = case.load()  # the server is gone
    assert first.name == again.name == case.name
    assert first.source == str((case.cache(caches)).resolve())
    assert (first.train_images == again.train_images).all()
    assert sorted(os.listdir(case.cache(caches))) == sorted(os.listdir(mirror))


@each
def test_a_cache_that_cannot_be_written_is_named_and_how_to_have_another(
    tmp_path, monkeypatch, caches, case
):
    mirror = case.put_original(monkeypatch, tmp_path / "mirror")
    caches.parent.touch()  # a file where its folder would be: the user root is stopped by it too
    with (
        case.served_from(monkeypatch, mirror),
        does_without(case, f": '{caches.parent}", "names another place for caches"),
    ):
        assert case.load().name == mnist.SAMPLE_NAME


@each
def test_a_user_without_a_home_is_told_how_to_have_a_cache(monkeypatch, case):
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable)
    monkeypatch.setattr(Path, "home", lambda: Path("~").expanduser())
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # knows none
    with does_without(case, "Could not determine home directory", "names another place"):
        assert case.load().name == mnist.SAMPLE_NAME


@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=["MNIST", "small NORB"])
def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path, monkeypatch, caches, case):
    mirror = case.put_original(monkeypatch, tmp_path / "mirror")
    name = f"{case.files[0]}.gz"
    case.cache(caches).mkdir(parents=True)
    (mirror / name).rename(case.cache(caches) / name)
    with case.served_from(monkeypatch, mirror):
        assert case.load().name == case.name


@each
def test_another_data_set_on_a_mirror_is_not_taken_for_it(tmp_path, monkeypatch, caches, case):
    words = ["have MD5", f"they must have {cifar.MD5}"]
    if case.module is not cifar:
        words = ["have SHA-256", f"they must have {next(iter(case.module.SHA256.values()))}"]
    mirror = case.put(tmp_path / "mirror", served=True)
    with (
        case.served_from(monkeypatch, mirror),
        does_without(case, *words, case.cache(caches)),
    ):
        assert case.load().name == mnist.SAMPLE_NAME
    assert os.listdir(case.cache(caches)) == []


@each
def test_nothing_is_downloaded_when_it_is_not_allowed(tmp_path, monkeypatch, caches, case):
    mirror = case.put_original(monkeypatch, tmp_path / "mirror")
    with case.served_from(monkeypatch, mirror), does_without(case, "download=False"):
        assert case.load(download=False).name == mnist.SAMPLE_NAME
    assert not (case.cache(caches)).exists()


@each
def test_offline_it_is_said_where_to_put_the_files(caches, case):
    cache, mirrors = case.cache(caches), case.module.MIRRORS
    with does_without(case, "data_dir", "MINISCA_DATA", cache, *mirrors, "refused"):
        assert case.load().name == mnist.SAMPLE_NAME


@each
def test_an_altered_file_in_the_cache_is_an_error(monkeypatch, caches, case):
    cache = case.put_original(monkeypatch, case.cache(caches))
    case.put(cache, 1, served=True)
    with pytest.raises(DatasetError, match=r"delete it to download it again") as error:
        case.load()
    assert str(cache) in str(error.value)


@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=["MNIST", "small NORB"])
def test_one_altered_file_in_the_cache_is_named(tmp_path, monkeypatch, caches, case):
    cache = case.put_original(monkeypatch, case.cache(caches))
    name = f"{case.files[-1]}.gz"
    (case.put(tmp_path / "other", 1, served=True) / name).replace(cache / name)
    with pytest.raises(DatasetError, match=f"{name} has .*; delete it to download it again"):
        case.load()
