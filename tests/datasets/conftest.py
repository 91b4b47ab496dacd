"""Every test of a data set has an environment, a home and a network of its own."""

import pytest

from minisca.datasets import cifar, mnist, norb
from tests.support.local_server import serving


@pytest.fixture(scope="session")
def nobody():
    """The address of a server that nobody runs any more."""
    with serving({}) as address:
        pass
    return address


@pytest.fixture(autouse=True)
def caches(monkeypatch, tmp_path, nobody):
    """Isolate the test; returns the directory that holds the data sets' caches."""
    monkeypatch.delenv("MINISCA_DATA", raising=False)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "user-cache"))
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    for module in (mnist, cifar, norb):
        monkeypatch.setattr(module, "MIRRORS", (f"{nobody}/one/", f"{nobody}/two/"))
    return tmp_path / "user-cache" / "minisca"
