"""A web server inside the test process, for downloads that go well and downloads that do not."""

import contextlib
import http.server
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body, length = self.server.files.get(self.path, (None, 0))
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:length])

    def log_message(self, *arguments):
        """Keep the tests' output quiet."""


@contextlib.contextmanager
def serving(files):
    """Serve `files` on 127.0.0.1: path -> bytes, or (bytes, how many of them are really sent).

    Yields the address, without a slash at its end; nobody listens there when the block has ended.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = {
        path: body if isinstance(body, tuple) else (body, len(body)) for path, body in files.items()
    }
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
