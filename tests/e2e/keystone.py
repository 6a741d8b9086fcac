"""Just enough of Keystone to give the OpenStack command line a token and a catalog.

The plugin of python-zaqarclient takes its endpoint from a catalog and its project from the
credentials, and has no way to work without. Nothing here is Nusku; nothing of Nusku is here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ISSUED = "2026-01-01T00:00:00.000000Z"
_EXPIRES = "2099-01-01T00:00:00.000000Z"


def _token(messaging_url: str, project: str) -> dict[str, Any]:
    socket_url = f"ws{messaging_url.removeprefix('http')}/v2/websocket"
    return {
        "token": {
            "methods": ["password"],
            "issued_at": _ISSUED,
            "expires_at": _EXPIRES,
            "user": {"id": "u1", "name": "u", "domain": {"id": "default", "name": "Default"}},
            "project": {
                "id": project,
                "name": project,
                "domain": {"id": "default", "name": "Default"},
            },
            "roles": [{"id": "r1", "name": "member"}],
            "catalog": [
                _service("messaging", messaging_url),
                _service("messaging-websocket", socket_url),
            ],
        }
    }


def _service(kind: str, url: str) -> dict[str, Any]:
    endpoint = {
        "id": f"endpoint of {kind}",
        "interface": "public",
        "region": "here",
        "region_id": "here",
        "url": url,
    }
    return {"id": kind, "type": kind, "name": "nusku", "endpoints": [endpoint]}


@contextmanager
def keystone(messaging_url: str, project: str) -> Iterator[str]:
    """Serve tokens for one project; yield the URL to authenticate at."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            links = [{"rel": "self", "href": self.server.url}]  # type: ignore[attr-defined]
            version = {"id": "v3.14", "status": "stable", "links": links}
            self._answer(200, {"version": version})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(201, _token(messaging_url, project))

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Subject-Token", "a-token")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{server.server_port}/v3"  # type: ignore[attr-defined]
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.url  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
