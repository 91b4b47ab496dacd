"""Ask a server for a file. Whatever it does, it is given up in time and takes little memory.

Python's own client waits for ever while a byte comes now and then, follows redirects to anywhere,
and fails in many classes. Here a socket is read through `_Guard`, which bounds time and bytes, and
all that can go wrong is a DatasetError of printable characters.
"""

import contextlib
import http.client
import io
import socket
import string
import time
import urllib.error
import urllib.parse
import urllib.request

from minisca.datasets.errors import DatasetError

CHUNK = 1 << 18  # of the file, in bytes, that are held at a time
LEAST, WINDOW = 10_000, 10.0  # bytes of the file that must come in so many seconds
MOST_AROUND = 1 << 16  # bytes of headers, and of chunk sizes and trailers beyond the file's own
MOST_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_ADDRESS, LONGEST_MESSAGE = 100, 300
HEADERS = {"User-Agent": "minisca"}


@contextlib.contextmanager
def asking(url, timeout):
    """Ask the server at `url`, of http or https, through a proxy where the environment names one.

    timeout: seconds for connecting, for TLS, for status and headers as a whole, each time it
    redirects, and for each pause in the file, of which at least LEAST bytes must come in any
    WINDOW seconds that are spent waiting for it. (Looking up its name takes what the system
    allows.)
    Yields an Answer. Raises DatasetError for all that can go wrong, on the way to the server too.
    """
    response, guard = _follow(url, timeout)
    with response:
        yield Answer(response, guard)


class Answer:
    """A file as it comes from a server.

    length: its bytes as the server says, None where it does not say.
    """

    def __init__(self, response, guard):
        self._response, self._guard = response, guard
        self.length = response.length
        guard.start_file()

    def read(self):
        """The next bytes, at most CHUNK; b"" at the end. DatasetError if there is none."""
        with _refusing():
            # Not `read`: it takes a chunk of negative size for all that comes.
            piece = self._response.read1(CHUNK)
        self._guard.arrived(len(piece))
        return piece


class _Guard(io.RawIOBase):
    """What comes through a socket: for so long, and not much more than the file itself.

    Only the time that is spent waiting for the server counts: a slow disk is not its fault.
    """

    def __init__(self, connection, timeout):
        self._socket, self._timeout = connection, timeout
        self._stream = connection.makefile("rb", buffering=0)
        self._left = timeout  # seconds
        self._late = f"timed out: no whole answer in {timeout} s"
        self._around = MOST_AROUND
        self._new = 0

    def makefile(self, mode):
        """All that http.client wants of a socket that it reads an answer from."""
        return io.BufferedReader(self)

    def start_file(self):
        self._left = WINDOW
        rate = f"fewer than {LEAST} bytes of the file in {WINDOW} s"
        self._late = f"timed out: nothing in {self._timeout} s, or {rate}"

    def arrived(self, count):
        """So many bytes of the file have come."""
        self._around += 2 * count  # they were subtracted; and as many may come around them
        self._new += count
        if self._new >= LEAST:
            self._new = 0
            self._left = WINDOW

    def readable(self):
        return True

    def readinto(self, buffer):
        if self._around < 0:
            # An OSError: http.client would take a ValueError for a chunk size that is none.
            raise OSError(f"sends more than {MOST_AROUND} bytes around the file")
        if self._left <= 0:
            raise TimeoutError(self._late)
        self._socket.settimeout(min(self._left, self._timeout))
        start = time.monotonic()
        try:
            count = self._stream.readinto(buffer)
        except TimeoutError:
            raise TimeoutError(self._late) from None
        self._left -= time.monotonic() - start
        self._around -= count
        return count

    def close(self):
        self._stream.close()
        super().close()


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens http and https. `guard` is that of the last answer."""

    def http_open(self, request):
        return self._open(http.client.HTTPConnection, request)

    def https_open(self, request):
        return self._open(http.client.HTTPSConnection, request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _open(self, kind, request):
        def connection(host, timeout):
            def answer(stream, **options):
                self.guard = _Guard(stream, timeout)
                return http.client.HTTPResponse(self.guard, **options)

            made = kind(host, timeout=timeout)
            made._create_connection = _connect
            made.response_class = answer  # of a proxy that makes a tunnel, too
            return made

        return self.do_open(connection, request)


def _connect(address, timeout, source=None):
    """A socket's connection, as `socket.create_connection`; all its addresses share `timeout`."""
    deadline = time.monotonic() + timeout
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    for remaining, (*_, place) in zip(range(len(found), 0, -1), found, strict=True):
        share = max(deadline - time.monotonic(), 0.001) / remaining
        try:
            connection = socket.create_connection(place[:2], share)
        except OSError:
            if remaining == 1:
                raise
        else:
            connection.settimeout(timeout)
            return connection


def _follow(url, timeout):
    """The response that has the file, and its guard; redirects are followed."""
    opener, handler = urllib.request.OpenerDirector(), _Handler()
    for each in (urllib.request.ProxyHandler(), handler, urllib.request.UnknownHandler()):
        opener.add_handler(each)
    for hop in range(MOST_REDIRECTS + 1):
        with _refusing(f"redirected to {url[:LONGEST_ADDRESS]}: " if hop else ""):
            if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
                raise DatasetError("this is no address of http or https")
            response = opener.open(urllib.request.Request(url, headers=HEADERS), timeout=timeout)
            if response.status == 200:
                return response, handler.guard
            response.close()
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or location is None:
                raise DatasetError(f"HTTP Error {response.status}: {response.reason}")
            # Some servers send spaces and other alphabets as they are.
            location = urllib.parse.quote(location, string.punctuation, encoding="iso-8859-1")
            url = urllib.parse.urljoin(url, location)
    raise DatasetError(f"redirects more than {MOST_REDIRECTS} times")


@contextlib.contextmanager
def _refusing(where=""):
    """All that goes wrong in here is a DatasetError that says it in printable characters.

    where: what the message starts with.
    All: there is nothing here but Python's client and what it is sent, and no list of what it
    raises would be complete. An error of the disk's does not come from here.
    """
    try:
        yield
    except http.client.IncompleteRead as error:
        raise DatasetError("broke off in a chunk, or at a chunk size that is none") from error
    except Exception as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        text = str(cause)
        if not (text and isinstance(cause, (OSError, DatasetError))):
            text = f"{type(cause).__name__}: {text}"  # a status line alone says nothing
        raise DatasetError(_printable(where + text)) from error


def _printable(text):
    """`text`, of what is not printable its escapes, and not much of it."""
    cut = text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
