"""A way to the server on which answers get lost, as on any real network."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Fault(Enum):
    """What happens to one request."""

    NONE = auto()
    LOST_ANSWER = auto()
    UNAVAILABLE = auto()


class LossyProxy(ThreadingHTTPServer):
    """Passes requests on, after the faults that it was given, one for each request."""

    daemon_threads = True

    def __init__(self, target: str, faults: list[Fault]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.faults = faults
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def next_fault(self, method: str) -> Fault:
        """Note a request and return what shall happen to it."""
        self.requests.append(method)
        return self.faults.pop(0) if self.faults else Fault.NONE


@contextmanager
def lossy(target: str, *faults: Fault) -> Iterator[LossyProxy]:
    """Run a proxy within the block."""
    with LossyProxy(target, list(faults)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LossyProxy

    def _pass_on(self) -> None:
        fault = self.server.next_fault(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault is Fault.UNAVAILABLE:
            self._answer(503, b'{"title": "Service temporarily unavailable"}')
            return
        connection = http.client.HTTPConnection(self.server.target, timeout=10)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault is Fault.NONE:
            self._answer(answer.status, data)
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Say nothing."""
