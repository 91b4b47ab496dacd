"""Whatever a server does, a download ends: with the right file, or with the next mirror asked."""

import contextlib
import os
import re
import socket
import time

import pytest

from minisca.datasets import mirror
from minisca.datasets.download import download
from tests.campaigns import hostile_servers
from tests.datasets.test_array_files import allocating_less_than
from tests.datasets.test_download import CONTENTS, SHA256, refused
from tests.support.hostile_server import (
    CHUNKED,
    OK,
    RESET,
    chunks,
    dripping,
    endless,
    moved,
    playing,
    sized,
)
from tests.support.local_server import serving

WRONG = [sized(b"the second mirror's")]
LAST = b"0\r\n\r\n"
ALL = chunks(CONTENTS, 4000)
LATER = 10  # seconds in which a client must have gone
AROUND = f"more than {mirror.MOST_AROUND} bytes"

SLOW = {
    "nothing": [LATER],
    "status": [dripping(OK * 20), sized(CONTENTS)],
    "header": [OK, b"A: ", dripping(b"x" * 500), b"\r\n", sized(CONTENTS)],
    "headers": [OK, dripping(b"A: b\r\n" * 90), b"\r\n", CONTENTS],
    "100s": [dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 20), sized(CONTENTS)],
    "all": [dripping(sized(CONTENTS), piece=32)],
    "body": [sized(b"", len(CONTENTS)), dripping(CONTENTS, piece=32)],
    "body after a burst": [sized(CONTENTS[:16000], len(CONTENTS)), dripping(CONTENTS[16000:])],
    "pause": [sized(CONTENTS[:1000], len(CONTENTS)), LATER, CONTENTS[1000:]],
    "no length": [OK, b"\r\n", CONTENTS, LATER],
    "chunk size": [CHUNKED, dripping(b"0" * 500), ALL, LAST],
    "chunk": [CHUNKED, b"4000\r\n", dripping(CONTENTS, piece=32), b"\r\n", LAST],
    "chunk extension": [CHUNKED, b"1;", dripping(b"x" * 500), b"\r\na\r\n", LAST],
    "tiny chunks": [CHUNKED, dripping(chunks(CONTENTS, 32), piece=37), LAST],
    "end of a chunk": [CHUNKED, ALL[:-2], LATER, b"\r\n", LAST],
    "trailers": [CHUNKED, ALL, b"0\r\n", dripping(b"A: b\r\n" * 90), b"\r\n"],
    "redirect": [dripping(moved(b"/1") * 9)],
}


@pytest.mark.parametrize("steps", SLOW.values(), ids=SLOW)
def test_a_server_that_drips_or_pauses_is_given_up(tmp_path, monkeypatch, steps):
    assert (mirror.LEAST, mirror.WINDOW) == (10_000, 10)  # 1 kB/s
    monkeypatch.setattr(mirror, "WINDOW", 0.15)
    with playing(steps, WRONG) as server:
        message = refused([f"{server}/0", f"{server}/1"], tmp_path / "a", timeout=0.1)
    assert "/0: timed out: " in message


@pytest.mark.parametrize(("timeout", "window"), [(9, 0.1), (0.1, 9)])
def test_a_pause_is_bounded_by_either_rule(tmp_path, monkeypatch, timeout, window):
    monkeypatch.setattr(mirror, "WINDOW", window)
    with playing([sized(CONTENTS[:99], len(CONTENTS)), 1.0, CONTENTS[99:]]) as server:
        assert "timed out: " in refused([f"{server}/0"], tmp_path / "a", timeout=timeout)


def test_time_that_is_not_the_servers_is_not_counted(monkeypatch):
    """A slow disk, for example."""
    monkeypatch.setattr(mirror, "WINDOW", 0.5)
    with playing([sized(CONTENTS)]) as server, mirror.asking(server, timeout=0.5) as answer:
        read = bytearray()
        while piece := answer.read():
            read += piece
            time.sleep(0.6)
    assert read == CONTENTS


ENDLESS = {
    "body": ([OK, b"\r\n", endless(b"x")], "is longer than 100000 bytes"),
    "status": ([b"HTTP/1.1 200 ", endless(b"x")], AROUND),
    "header": ([OK, b"A: ", endless(b"x")], AROUND),
    "headers": ([OK, endless(b"A: b\r\n")], "more than 100 headers"),
    "100s": ([endless(b"HTTP/1.1 100 Continue\r\n\r\n")], AROUND),
    "chunk size": ([CHUNKED, endless(b"0")], AROUND),
    "chunk extension": ([CHUNKED, b"1;", endless(b"x")], AROUND),
    "extensions": ([CHUNKED, endless(b"1;%s\r\na\r\n" % bytes(999))], AROUND),
    "tiny chunks": ([CHUNKED, endless(b"1\r\na\r\n")], AROUND),
    "chunk of negative size": ([CHUNKED, b"-5\r\n", endless(b"x")], "is longer than 100000"),
    "chunk of size -1": ([CHUNKED, b"-1\r\n", endless(b"x")], "is longer than 100000"),
    "huge chunk": ([CHUNKED, b"f" * 99, b"\r\n", endless(b"x")], "is longer than 100000"),
    "trailer": ([CHUNKED, ALL, b"0\r\nA: ", endless(b"x")], AROUND),
    "trailers": ([CHUNKED, ALL, b"0\r\n", endless(b"A: b\r\n")], AROUND),
}


@pytest.mark.parametrize(("steps", "why"), ENDLESS.values(), ids=ENDLESS)
def test_a_server_without_end_is_given_up_at_once_and_takes_no_memory(tmp_path, steps, why):
    with playing(steps, WRONG) as server, allocating_less_than(3 << 20):
        urls = [f"{server}/0", f"{server}/1"]
        message = refused(urls, tmp_path / "a", timeout=60, max_bytes=100_000)
    assert why in message.splitlines()[1]


def says(header, body=CONTENTS):
    return [OK, header, b"\r\n\r\n", body]


UNLIKE = "they must have"
HTTP_ERROR = "HTTP Error {}: "
FALSE = {
    "longer": ([sized(CONTENTS, 99999)], "broke off after 16384 of 99999 bytes"),
    "shorter": ([sized(CONTENTS, 99)], UNLIKE),
    "zero": ([sized(CONTENTS, 0)], UNLIKE),
    "negative": (says(b"Content-Length: -5", b"x"), UNLIKE),
    "too long": (says(b"Content-Length: 1" + b"0" * 30), "is longer than"),
    "too many digits": (says(b"Content-Length: 1" + b"0" * 5000, b"x"), UNLIKE),
    "no number": (says(b"Content-Length: \xb2", b"x"), UNLIKE),
    "twice": (says(b"Content-Length: 9\r\nContent-Length: 16384"), UNLIKE),
    "cut chunk": ([CHUNKED, b"4000\r\n", CONTENTS[:-1]], "broke off"),
    "no last chunk": ([CHUNKED, ALL], "broke off"),
    "chunk size that is none": ([CHUNKED, b"zz\r\n", CONTENTS], "broke off"),
    "encoded": (says(b"Content-Encoding: gzip", b"\x1f\x8b"), UNLIKE),
    "nothing": ([], "without response"),
    "no HTTP": ([b"SSH-2.0-x\r\n"], "BadStatusLine: SSH-2.0"),
    "HTTP/2": ([b"HTTP/2 200\r\n\r\n", CONTENTS], "HTTP/2"),
    "status that is none": ([b"HTTP/1.1 abc\r\n\r\n", CONTENTS], "abc"),
    "status of six digits": ([b"HTTP/1.1 200000\r\n\r\n", CONTENTS], "200000"),
    "no header's end": ([OK, b"A: b"], UNLIKE),
    "reset": ([RESET], "reset"),
    "reset in the status": ([b"HTTP", 0.1, RESET], "reset"),
    "reset in the header": ([OK, 0.1, RESET], "reset"),
    "reset in the body": ([sized(b"x", 99), 0.1, RESET], "reset"),
    "reset in a chunk": ([CHUNKED, b"4000\r\nx", 0.1, RESET], "reset"),
    "moved, nowhere": ([b"HTTP/1.1 302 F\r\n\r\n"], "HTTP Error 302"),
    "moved in a loop": ([moved(b"/0")], "redirects more than 10 times"),
    **{
        f"status {status}": ([b"HTTP/1.1 %d X\r\n\r\n" % status, CONTENTS], f"HTTP Error {status}")
        for status in (101, 103, 199, 201, 204, 206, 300, 304, 401, 404, 407, 500, 999)
    },
}


@pytest.mark.parametrize(("steps", "why"), FALSE.values(), ids=FALSE)
def test_what_is_false_or_no_answer_is_that_mirrors_failure(tmp_path, steps, why):
    with playing(steps, WRONG) as server:
        message = refused([f"{server}/0", f"{server}/1"], tmp_path / "a")
    assert why in message.splitlines()[1]


NO_ADDRESSES = [
    *(
        b"",
        b"//",
        b"http:",
        b"http://",
        b"http:///x",
        b"http://[::1/x",
        b"http://[x]/",
        b"http://]",
    ),
    *(b"http://a..b/x", b"http://%s.invalid/x" % (b"a" * 70), b"http://\xe9.invalid/x"),
    *(b"http://127.0.0.1:x/", b"http://127.0.0.1:-1/", b"http://127.0.0.1:99999/"),
    *(b"http://127.0.0.1:%s/" % (b"9" * 40), b"http://a b/", b"http://a%0d%0ab/", b"http://%00/"),
    *(b"http://a\x00b/", b"http://\xe2\x84\x80.invalid/", b"http://u:p@127.0.0.1:1/", b"1:/"),
    *(b"file:///etc/passwd", b"ftp://127.0.0.1/x", b"data:,x", b"javascript:1", b"gopher://a/"),
    *(b"ldap://a", b"\x1b[2J:x", b"https://127.0.0.1:1/", b"http:" * 3000, b"/\r\n \r\n x"),
]


def test_a_redirect_to_no_address_is_that_mirrors_failure(tmp_path):
    scripts = [[moved(address)] for address in NO_ADDRESSES]
    with playing(*scripts, [sized(CONTENTS)]) as server:
        urls = [f"{server}/{number}" for number in range(len(scripts) + 1)]
        message = refused(urls[:-1], tmp_path / "a")
        download(urls, tmp_path / "b", SHA256)
    assert len(message.splitlines()) == len(urls)
    assert max(map(len, message.splitlines())) < 400
    assert "/0: redirected to https://127.0.0.1:1/: [Errno" in re.sub(r"/\d+:", "/0:", message)
    assert ": redirected to file:///etc/passwd: this is no address of http or https" in message
    assert (tmp_path / "b").read_bytes() == CONTENTS


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "nothing", "/a", ""])
def test_an_address_of_another_kind_is_no_mirror(tmp_path, url):
    assert f"{url}: this is no address of http or https" in refused([url], tmp_path / "a")


def test_no_control_character_reaches_a_message(tmp_path):
    evil = b"\x1b[2J\x9b31m\x07\x08\x00\x7f\xad\x85\x0bok"
    scripts = [
        [b"HTTP/1.1 404 " + evil + b"\r\n\r\n"],
        [b"HTTP/1.1 " + evil + b" x\r\n\r\n"],
        [evil * 999 + b"\r\n\r\n"],
        [moved(b"file:///" + evil)],
        [moved(evil)],
        [moved(b"http://" + evil + b"/")],
        [CHUNKED, evil + b"\r\n"],
        [OK, evil + b": " + evil + b"\r\n\r\n", evil],
    ]
    with playing(*scripts) as server:
        urls = [f"{server}/{number}" for number in range(len(scripts))]
        message = refused(urls, tmp_path / "a")
    assert "".join(message.splitlines()).isprintable()
    assert len(message.splitlines()) == 1 + len(scripts)
    assert len(message) < 9999
    assert "HTTP Error 404: \\x1b[2J\\x9b31m\\x07\\x08\\x00\\x7f\\xad" in message


GOOD = {
    "length": [sized(CONTENTS)],
    "until it closes": [OK, b"\r\n", CONTENTS],
    "HTTP/1.0": [b"HTTP/1.0 200 OK\n\n", CONTENTS],
    "chunks": [CHUNKED, ALL, LAST],
    "small chunks": [CHUNKED, chunks(CONTENTS, 7), b"0;x=y\r\nA: b\r\n\r\n"],
    "one chunk": [CHUNKED, chunks(CONTENTS, 1 << 20), LAST],
    "small pieces": [sized(b"", len(CONTENTS)), dripping(CONTENTS, 0, 99)],
    "100s first": [b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" * 9, sized(CONTENTS)],
    "many headers": [OK, b"A: b\r\n" * 99, b"\r\n", CONTENTS],
    "more than it says": [sized(CONTENTS + b"x", len(CONTENTS))],
    "negative length": says(b"Content-Length: -5"),
    "length that is no number": says(b"Content-Length: x"),
    "length twice": says(b"Content-Length: 16384\r\nContent-Length: 16384"),
    "called encoded": says(b"Content-Encoding: gzip\r\nContent-Length: 16384"),
    "slow, but not too slow": [sized(b"", len(CONTENTS)), dripping(CONTENTS, 0.01, 2000)],
    **{f"moved by {status}": [moved(b"/0", status)] for status in (301, 302, 303, 307, 308)},
    "moved, without an end": [b"HTTP/1.1 302 F\r\nLocation: 0\r\n\r\n", endless(b"x")],
}


def test_what_serves_the_file_is_taken(tmp_path):
    """One server has all these; `moved` leads to the first."""
    with playing(*GOOD.values()) as server:
        for number, name in enumerate(GOOD):
            download([f"{server}/{number}"], tmp_path / name.replace("/", ""), SHA256)
    assert len(os.listdir(tmp_path)) == len(GOOD)


def test_a_redirect_may_have_spaces_and_other_letters(tmp_path):
    with contextlib.ExitStack() as servers:
        other = servers.enter_context(serving({"/%C3%A9%20%20": CONTENTS}))
        server = servers.enter_context(playing([moved(other.encode() + b"/\xc3\xa9 %20")]))
        download([server], tmp_path / "a", SHA256)


def test_all_addresses_of_a_host_share_the_time_for_connecting(tmp_path, monkeypatch):
    """One that never answers leaves time for the next."""
    given, connect, look_up = [], socket.create_connection, socket.getaddrinfo
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    with full, connect(full.getsockname()):  # its queue is full: who comes next gets no answer
        many = [(0, 0, 0, "", full.getsockname())] * 32

        def addresses(host, *rest, **options):
            return many if host == "many.invalid" else look_up(host, *rest, **options)

        def recording(place, seconds):
            given.append(seconds)
            return connect(place, seconds)

        monkeypatch.setattr(socket, "getaddrinfo", addresses)
        monkeypatch.setattr(socket, "create_connection", recording)
        assert "timed out" in refused(["http://many.invalid/a"], tmp_path / "a", timeout=0.3)
        assert len(given) == 32
        assert given[0] < 0.3 / 31
        assert sum(given) < 0.3 + 32 * 0.001
        with playing([sized(CONTENTS)]) as server:
            many[1:] = [(0, 0, 0, "", ("127.0.0.1", int(server.rpartition(":")[2])))]
            download(["http://many.invalid/a"], tmp_path / "a", SHA256, timeout=1)
            with mirror._connect(("many.invalid", 80), 1) as connection:
                assert connection.gettimeout() == 1  # for TLS
    assert (tmp_path / "a").read_bytes() == CONTENTS


def test_random_servers(monkeypatch):
    """The short form of `python -m tests.campaigns.hostile_servers`."""
    monkeypatch.setattr(mirror, "WINDOW", hostile_servers.WINDOW)
    counts, faults = hostile_servers.campaign([f"0:{number}" for number in range(30)])
    assert not faults
    assert counts.keys() == {"the file", "DownloadError"}
