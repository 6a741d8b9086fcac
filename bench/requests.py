"""Requests as finished bytes."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence

#: All queues of a benchmark have names that begin so.
PREFIX = "bench-"

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Requests:
    """Makes the requests of one client of one tenant."""

    def __init__(
        self, host: str, *, project: str = "bench", client_id: str = "", headers: str = ""
    ) -> None:
        """Send to `host`, which may have a port; `headers` are more lines, with their ends."""
        self.client_id = client_id or str(uuid.UUID(int=1))
        self._head = (
            f"Host: {host}\r\nClient-ID: {self.client_id}\r\nX-Project-ID: {project}\r\n"
            f"Accept: application/json\r\n{headers}"
        )

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return any request."""
        head = f"{method} {path} HTTP/1.1\r\n{self._head}"
        if method in {"POST", "PUT", "PATCH"}:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode() + body

    def post(self, queue: str, count: int, body_bytes: int) -> bytes:
        """Return a post of `count` messages."""
        return self.request("POST", _messages(queue), messages_document(count, body_bytes))

    def claim(self, queue: str, limit: int, lease: Mapping[str, int]) -> bytes:
        """Return a claim of up to `limit` messages."""
        path = f"/v2/queues/{queue}/claims?limit={limit}"
        return self.request("POST", path, json.dumps(dict(lease)).encode())

    def list(self, queue: str, limit: int) -> bytes:
        """Return a listing from the start, with the client's own messages."""
        return self.request("GET", f"{_messages(queue)}?limit={limit}&echo=true")

    def get(self, href: bytes) -> bytes:
        """Return a request for one message by its address."""
        return self.request("GET", href.decode())

    def delete(self, href: bytes) -> bytes:
        """Return a deletion of what is at an address."""
        return self.request("DELETE", href.decode())


def messages_document(count: int, body_bytes: int) -> bytes:
    """Return what a post of `count` messages sends, each body `body_bytes` long as JSON."""
    seeded = random.Random(body_bytes)
    bodies = [_body(seeded, body_bytes) for _ in range(count)]
    return json.dumps({"messages": [{"ttl": 3600, "body": body} for body in bodies]}).encode()


def _body(seeded: random.Random, body_bytes: int) -> dict[str, str]:
    """Return an object that is `body_bytes` long as JSON, an event as people send them."""
    shortest = len(json.dumps({"event": ""}))
    text = "".join(seeded.choices(_LETTERS, k=max(body_bytes - shortest, 0)))
    return {"event": text}


def _messages(queue: str) -> str:
    return f"/v2/queues/{queue}/messages"


def hrefs(answer: bytes) -> Sequence[bytes]:
    """Return the addresses of messages in an answer, whoever wrote its JSON."""
    parts = answer.partition(b"\r\n\r\n")[2].split(b'"/v2/queues/')[1:]
    return [b"/v2/queues/" + part.partition(b'"')[0] for part in parts]
