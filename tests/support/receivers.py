"""A server that receives messages, as that of a chat program."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """A server that answers each POST with `status` after `delay_s`; `taken` has (path, body) of each."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken, self.status, self.delay_s = [], 200, 0
        self.url = f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def bodies(self):
        return [json.loads(body) for _, body in self.taken]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))
        time.sleep(self.server.delay_s)
        self.send_response(self.server.status)
        self.send_header("Location", self.server.url)
        self.end_headers()

    def log_message(self, *_):
        """Keep log lines off the screen."""


@contextmanager
def receiving():
    """Yield a running `Receiver`."""
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
