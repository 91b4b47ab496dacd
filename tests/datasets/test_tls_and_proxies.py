"""The ways to a mirror: TLS, and proxies that the environment names."""

import shutil
import ssl
import subprocess

import pytest

from minisca.datasets.download import download
from tests.datasets.test_download import CONTENTS, SHA256, refused
from tests.support.hostile_server import OK, dripping, endless, moved, playing, sized

FILE = sized(CONTENTS)
TUNNEL = b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n"
#: The start of a handshake's record, of which the rest never comes.
RECORD = b"\x16\x03\x03\x40\x00"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """The path of one that its server signed itself, and the server's TLS context."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl, to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "key"
    options = "-x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=a"
    names = "subjectAltName=IP:127.0.0.1,DNS:mirror.invalid"
    files = ["-keyout", path, "-out", f"{path}.crt"]
    command = ["openssl", "req", *options.split(), "-addext", names, *files]
    subprocess.run(command, capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{path}.crt", path)
    return f"{path}.crt", context


def secure(server):
    return server.replace("http:", "https:")


@pytest.fixture
def proxy(monkeypatch):
    """Have what follows go through this proxy."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY")

    def use(address):
        for variable in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, address)

    return use


def test_a_file_comes_through_tls(tmp_path, monkeypatch, certificate):
    path, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", path)
    for name, steps in {"a": [context, FILE], "b": [context, OK, b"\r\n", CONTENTS]}.items():
        with playing(steps) as server:
            download([f"{secure(server)}/a"], tmp_path / name, SHA256)
        assert (tmp_path / name).read_bytes() == CONTENTS


def test_a_certificate_that_nobody_vouches_for_is_that_mirrors_failure(tmp_path, certificate):
    with playing([certificate[1], FILE]) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in refused([f"{secure(server)}/a"], tmp_path / "a")


@pytest.mark.parametrize(
    ("steps", "why"),
    [([FILE], "SSL"), ([10.0], "timed out"), ([RECORD, dripping(bytes(500))], "timed out")],
)
def test_what_is_no_tls_or_too_slow_is_that_mirrors_failure(tmp_path, steps, why):
    with playing(steps) as server:
        message = refused([f"{secure(server)}/a"], tmp_path / "a", timeout=0.2)
    assert why in message


@pytest.mark.parametrize("pace", [lambda data: data, lambda data: dripping(data)])
def test_what_drips_inside_tls_is_given_up(tmp_path, monkeypatch, certificate, pace):
    path, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", path)
    with playing([context, pace(OK * 20), 10.0]) as server:
        assert "timed out" in refused([f"{secure(server)}/a"], tmp_path / "a", timeout=0.3)


def test_files_come_through_a_proxy(tmp_path, monkeypatch, proxy, certificate):
    path, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", path)
    with playing([moved(b"http://other.invalid/1")], [FILE]) as server:
        proxy(server)
        download(["http://mirror.invalid/0"], tmp_path / "a", SHA256)
    with playing([TUNNEL, context, FILE]) as server:
        proxy(server)
        download(["https://mirror.invalid/a"], tmp_path / "b", SHA256)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == CONTENTS


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([b"HTTP/1.0 403 \x1b[2Jno\r\n\r\n"], "Tunnel connection failed: 403 \\x1b[2Jno"),
        ([b"HTTP/1.0 200 OK\r\n", endless(b"A: b\r\n")], "bytes around the file"),
        ([dripping(TUNNEL * 20)], "timed out"),
        ([TUNNEL, 10.0], "timed out"),
        ([TUNNEL, 0.05, RECORD, dripping(bytes(500))], "_ssl.c"),
        ([TUNNEL, FILE], "SSL"),
        ([], "closed connection"),
    ],
)
def test_a_proxy_may_fail_as_a_server_may(tmp_path, proxy, steps, why):
    with playing(steps) as server:
        proxy(server)
        message = refused(["https://mirror.invalid/a"], tmp_path / "a", timeout=0.2)
    assert why in message
    assert "".join(message.splitlines()).isprintable()


@pytest.mark.parametrize("address", ["http://[", "socks5://127.0.0.1:1", "http://127.0.0.1:x", ":"])
def test_a_proxy_that_is_none_is_the_download_s_failure(tmp_path, proxy, address):
    proxy(address)
    urls = ["http://mirror.invalid/a", "https://mirror.invalid/a"]
    message = refused(urls, tmp_path / "a")
    assert "unknown url type: socks5" in message or "socks" not in address
