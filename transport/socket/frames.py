"""Frames: requests as they come, replies and notifications as they go. Source: Zaqar v2.

A text frame is JSON and a binary frame MessagePack; a reply is encoded like its request.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from queues.errors import MalformedBody
from queues.model import Media
from transport import media
from transport.media import Document

Payload = str | bytes

_NAMES = {Media.JSON: "text (JSON)", Media.MSGPACK: "binary (MessagePack)"}
_EMPTY = {Media.JSON: b"{}", Media.MSGPACK: b"\x80"}


class BadFrame(Exception):
    """A frame that is no request; the text is what Zaqar says of it."""


class Frame(msgspec.Struct):
    """A request. The body stays as it came until its action is known."""

    action: str
    headers: dict[str, Any] = msgspec.field(default_factory=dict)
    body: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Received(NamedTuple):
    """A request and how it was encoded."""

    frame: Frame
    media: Media

    def body(self) -> Document:
        """Return the body as a document; an absent one is an empty object."""
        return Document(bytes(self.frame.body) or _EMPTY[self.media], self.media)


class Reply(NamedTuple):
    """A status as over HTTP, a body, and maybe after how long to try again."""

    status: int
    body: object
    retry_after_s: int | None = None


class _Echo(msgspec.Struct):
    action: str | None
    body: msgspec.Raw
    headers: dict[str, Any]
    api: str = "v2"


class _Envelope(msgspec.Struct):
    request: _Echo
    body: object
    headers: dict[str, int]


def encoding(payload: Payload) -> Media:
    """Return how a frame is encoded, which its kind says."""
    return Media.JSON if isinstance(payload, str) else Media.MSGPACK


def read(payload: Payload) -> Received:
    """Return the request in a frame.

    Raises: BadFrame.
    """
    encoded = encoding(payload)
    document = Document(payload.encode() if isinstance(payload, str) else payload, encoded)
    try:
        return Received(media.decode(document, Frame), encoded)
    except MalformedBody as ex:
        raise BadFrame(_complaint(document)) from ex


def _complaint(document: Document) -> str:
    try:
        value = media.decode(document, Any)
    except MalformedBody as ex:
        return f"Can't decode {_NAMES[document.media]} request: {ex}"
    if not isinstance(value, dict):
        return "Unexpected body type. Expected dict or dict like."
    return "Schema validation failed."


def reply(received: Received, answer: Reply) -> Payload:
    """Return the frame that answers a request, with the request in it.

    SECURITY: Zaqar sends back the token, too; nobody needs it, and answers get logged.
    """
    frame = received.frame
    shown = {name: value for name, value in frame.headers.items() if not _is_secret(name)}
    echo = _Echo(frame.action, msgspec.Raw(received.body().data), shown)
    said = {"status": answer.status}
    if answer.retry_after_s is not None:
        said["Retry-After"] = answer.retry_after_s
    return _encoded(_Envelope(echo, answer.body, said), received.media)


def complaint(encoded: Media, text: str) -> Payload:
    """Return the frame that answers what is no request."""
    echo = _Echo(None, msgspec.Raw(_EMPTY[encoded]), {})
    return _encoded(_Envelope(echo, {"error": text}, {"status": 400}), encoded)


def pushed(notification: object, encoded: Media) -> Payload:
    """Return the frame that carries a notification, which has no envelope."""
    return _encoded(notification, encoded)


def _is_secret(name: str) -> bool:
    return name.lower() in ("x-auth-token", "authorization", "url-signature")


def _encoded(value: object, encoded: Media) -> Payload:
    data = media.encode(value, encoded)
    return data.decode() if encoded is Media.JSON else data
