"""Servers that say anything at all, at any pace, for downloads that must end all the same.

A script is what a server does once it has been asked: bytes to send, seconds to wait, RESET to
break the connection off, a TLS context to speak TLS from there on, and functions that return such
steps. A test that fails ends too: none goes on for ever.
"""

import contextlib
import re
import socket
import ssl
import struct
import threading

RESET = object()
TLS = b"\x16\x03"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def playing(*scripts):
    """Play `scripts` at /0, /1, ... to everyone who asks; yields the server's address.

    Who asks for nothing that ends in a number gets the first.
    """
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_accept, args=(server, scripts, stop))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(server, scripts, stop):
    players = []
    with contextlib.suppress(OSError):  # it was shut down
        while True:
            connection, _ = server.accept()
            players.append(threading.Thread(target=_play, args=(connection, scripts, stop)))
            players[-1].start()
    for player in players:
        player.join()


def _play(connection, scripts, stop):
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):  # the client has gone
        stack.enter_context(connection)
        connection.settimeout(10)
        request = connection.recv(4096, socket.MSG_PEEK)
        if not request.startswith(TLS):
            connection.recv(len(request))
        asked = re.match(rb"\w+ \S*/(\d+) ", request)
        for step in _steps(scripts[int(asked[1]) if asked else 0]):
            if stop.is_set():
                return
            if step is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if isinstance(step, ssl.SSLContext):
                connection = stack.enter_context(step.wrap_socket(connection, server_side=True))
                connection.recv(4096)
            elif isinstance(step, bytes):
                connection.sendall(step)
            else:
                stop.wait(step)


def _steps(script):
    for step in script:
        if callable(step):
            yield from step()
        else:
            yield step


def dripping(data, seconds=0.02, piece=1):
    """Steps that send `data` in pieces, and wait after each."""
    return lambda: (
        step for start in range(0, len(data), piece) for step in (data[start:][:piece], seconds)
    )


def endless(data, n_bytes=64 << 20):
    """Steps that send `data` again and again."""
    block = data * (1 + 8192 // len(data))
    return lambda: (block for _ in range(n_bytes // len(block)))


def sized(body, length=None):
    """An answer whose header says that it has so many bytes."""
    return OK + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def chunks(body, size):
    """Chunks of so many bytes, without the last, empty one."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def moved(address, status=302):
    """An answer that sends the client elsewhere."""
    return b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, address)
