"""A download arrives whole and unaltered or leaves nothing behind; no network is needed."""

import gzip
import hashlib
import io
import os
import signal
import socket
import sys
import threading

import pytest

from minisca.datasets import DatasetError, DownloadError
from minisca.datasets.download import download
from tests.support.hostile_server import playing, sized
from tests.support.local_server import serving

CONTENTS = bytes(range(256)) * 64
SHA256 = hashlib.sha256(CONTENTS).hexdigest()
PACKED = gzip.compress(CONTENTS)


def refused(urls, target, **options):
    """The message of the DownloadError that names the file; an old file stays, and nothing else."""
    target.write_bytes(b"old")
    with pytest.raises(DownloadError) as error:
        download(urls, target, SHA256, **options)
    assert os.listdir(target.parent) == [target.name]
    assert target.read_bytes() == b"old"
    for word in (target.name, *urls):
        assert word in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("name", "body"), [("a.bin", CONTENTS), ("a.bin.gz", PACKED)])
def test_a_good_download_is_stored_as_served(tmp_path, name, body):
    target = tmp_path / "cache" / name
    with serving({"/a": body}) as server:
        assert download([f"{server}/a"], target, SHA256) == target
    assert target.read_bytes() == body
    assert os.listdir(target.parent) == [name]


def test_the_second_mirror_is_used_when_the_first_fails(tmp_path):
    with serving({"/good": PACKED, "/bad": PACKED[:-5]}) as server:
        urls = [f"{server}/absent", f"{server}/bad", f"{server}/good"]
        download(urls, tmp_path / "a.gz", SHA256)
    assert (tmp_path / "a.gz").read_bytes() == PACKED
    assert os.listdir(tmp_path) == ["a.gz"]


WRONG = CONTENTS[:-1] + b"\0"
HALF = len(PACKED) // 2
UNLIKE = f"SHA-256 {hashlib.sha256(WRONG).hexdigest()}; they must have {SHA256}"


@pytest.mark.parametrize(
    ("name", "body", "max_bytes", "message"),
    [
        ("a.gz", (PACKED, HALF), 1 << 30, f"a.gz broke off after {HALF} of {len(PACKED)} bytes"),
        ("a.gz", PACKED[:HALF], 1 << 30, "a.gz is a truncated gzip file"),
        ("a.bin", WRONG, 1 << 30, UNLIKE),
        ("a.bin.gz", gzip.compress(WRONG), 1 << 30, UNLIKE),
        ("a.gz", b"<html>log in first</html>", 1 << 30, "starts with 3c 68; a gzip file"),
        ("a", bytes(5000), 4999, "a is longer than 4999 bytes"),
        ("a.gz", gzip.compress(bytes(1 << 20)), 1 << 19, "a.gz unpacks to more than 524288 bytes"),
    ],
)
def test_what_is_cut_or_wrong_or_too_long_is_refused(tmp_path, name, body, max_bytes, message):
    with serving({"/a": body}) as server:
        assert message in refused([f"{server}/a"], tmp_path / name, max_bytes=max_bytes)


def test_every_mirror_is_named_with_its_reason(tmp_path):
    with serving({"/short": (PACKED, 3)}) as server:
        urls = [f"{server}/absent", f"{server}/short"]
        message = refused(urls, tmp_path / "a.gz")
    assert f"{urls[0]}: HTTP Error 404" in message
    assert f"{urls[1]}: a.gz broke off after 3 of {len(PACKED)} bytes" in message


def test_no_connection_is_refused_and_makes_no_directory(tmp_path, nobody):
    with pytest.raises(DownloadError, match="refused"):
        download([f"{nobody}/a"], tmp_path / "cache" / "a.gz", SHA256)
    assert os.listdir(tmp_path) == []


def test_a_mirror_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        urls = [f"http://127.0.0.1:{mute.getsockname()[1]}/a"]
        assert "timed out" in refused(urls, tmp_path / "a.gz", timeout=0.1)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_progress_bar_is_shown_on_a_terminal_only(tmp_path, monkeypatch, terminal):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    with serving({"/a": PACKED}) as server:
        download([f"{server}/a"], tmp_path / "a.gz", SHA256)
    assert "a.gz: 100%" in stream.getvalue() if terminal else not stream.getvalue()


def test_a_download_error_is_a_dataset_error_and_a_value_error():
    assert issubclass(DownloadError, DatasetError)
    assert issubclass(DatasetError, ValueError)


def test_a_checksum_may_be_of_the_file_as_it_is_served(tmp_path):
    md5 = hashlib.md5(PACKED).hexdigest()
    options = {"algorithm": "md5", "as_served": True}
    with serving({"/a": PACKED}) as server:
        download([f"{server}/a"], tmp_path / "a.gz", md5, **options)
        with pytest.raises(DownloadError, match=f"bytes of b.gz have MD5 {md5}; they must have 0"):
            download([f"{server}/a"], tmp_path / "b.gz", "0" * 32, **options)
    assert os.listdir(tmp_path) == ["a.gz"]


def asked_and_then(steps, then):
    """A script of `steps`, after which `then` is called and the server waits."""

    def call():
        then()
        yield 10.0

    return [*steps, call]


@pytest.mark.skipif(os.name == "nt", reason="signals a thread")
@pytest.mark.parametrize("steps", [[], [sized(CONTENTS)[:5000]]], ids=["header", "body"])
def test_ctrl_c_stays_ctrl_c_and_leaves_nothing(tmp_path, steps):
    def ctrl_c():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    (tmp_path / "a").write_bytes(b"old")
    scripts = (asked_and_then(steps, ctrl_c), [sized(CONTENTS)])
    with playing(*scripts) as server, pytest.raises(KeyboardInterrupt):
        download([f"{server}/0", f"{server}/1"], tmp_path / "a", SHA256, timeout=20)
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_full_disk_is_no_mirrors_failure(tmp_path):
    resource = pytest.importorskip("resource")
    (tmp_path / "a").write_bytes(b"old")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving({"/a": CONTENTS}) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENTS) // 2, usual[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                download([f"{server}/a"] * 2, tmp_path / "a", SHA256)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_that_is_none_is_no_mirrors_failure(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with serving({"/a": CONTENTS}) as server, pytest.raises(OSError, match="file"):
        download([f"{server}/a"] * 2, tmp_path / "file" / "a", SHA256)
