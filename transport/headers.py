"""All reading of headers: encodings, who calls, and the key for repeating safely."""

from __future__ import annotations

import re
import uuid
from functools import lru_cache
from typing import NamedTuple

import falcon
import falcon.asgi

from queues.config import Settings
from queues.errors import InvalidRequest
from queues.identity import Identity
from queues.limits import MAX_IDEMPOTENCY_KEY_CHARS, MAX_PROJECT_CHARS, check_queue_name
from queues.model import Media
from transport import media

_ACCEPTABLE = (media.JSON, "application/json-home", *media.MSGPACK_NAMES)
# PERF: what clients usually send needs no weighing.
_USUAL: dict[str | None, Media] = {
    None: Media.JSON,
    "*/*": Media.JSON,
    media.JSON: Media.JSON,
    **dict.fromkeys(media.MSGPACK_NAMES, Media.MSGPACK),
}
#: Server-sent events.
EVENTS = "text/event-stream"

_USUAL_UUID_CHARS = 64
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_IDEMPOTENCY_KEY_CHARS}}}")


#: Client ids of those who have none are derived in this namespace.
_NAMESPACE = uuid.UUID("5f0c2f5e-6f5b-4d0e-9d55-6d3a3f1a7a55")


class Caller(NamedTuple):
    """Who sends the request; `project` is that of the identity."""

    project: str
    client_id: str
    identity: Identity


class HeaderReader:
    """Reads headers under the rules of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Take the rules for Client-ID from `settings`."""
        self._settings = settings
        strict = settings.client_id_uuid_safe == "strict"
        self.check_client_id = _uuid if strict else self._check_length

    def client_id(self, req: falcon.asgi.Request, identity: Identity | None) -> str:
        """Return the client id: that of the credential if it has one, else of the header.

        Whoever opens a signed URL with a program that cannot set headers is a client, too.

        Raises: HTTPBadRequest with Zaqar's titles when it is missing or malformed;
        HTTPForbidden when it is not that of the credential.
        """
        grant = identity.grant if identity else None
        text = header(req, b"client-id")
        if text is None and grant is not None:
            return grant.client_id or str(uuid.uuid5(_NAMESPACE, grant.id))
        if text is None:
            raise falcon.HTTPBadRequest(
                title="Missing header value",
                description="The header Client-Id is required.",
            )
        client_id = self.check_client_id(text)
        if grant is not None and grant.client_id not in (None, client_id):
            raise falcon.HTTPForbidden(
                title="Not authorized",
                description="The token is bound to another Client-ID.",
            )
        return client_id

    def _check_length(self, text: str) -> str:
        low, high = self._settings.min_length_client_id, self._settings.max_length_client_id
        if not low <= len(text) <= high:
            raise _wrong_client_id(
                f"The header Client-Id must have {low} to {high} characters."
            )
        return text


def header(req: falcon.asgi.Request, name: bytes) -> str | None:
    """Return a header, None without it; `name` is in lower case.

    PERF: `req.get_header` raises an error, and catches it, for each header that is absent.
    """
    known = req._asgi_headers  # noqa: SLF001 (see Door.asks)
    return known[name].decode("latin-1") if name in known else None


def project(req: falcon.asgi.Request) -> str:
    """Return the project that `X-Project-ID` names.

    Raises: HTTPBadRequest with Zaqar's titles when it is missing or malformed.
    """
    text = header(req, b"x-project-id")
    if text is None:
        raise falcon.HTTPBadRequest(
            title="Project-Id Missing",
            description="The header X-Project-ID is required.",
        )
    return _project(text)


def claimed_project(req: falcon.asgi.Request) -> str | None:
    """Return the project that `X-Project-ID` names, None without that header.

    Raises: HTTPBadRequest for what is no UTF-8.
    """
    text = header(req, b"x-project-id")
    return None if text is None else _decoded(text)


def check_queue(queue: str) -> None:
    """Refuse names that no queue can have."""
    try:
        check_queue_name("The queue name", queue)
    except InvalidRequest as ex:
        raise _wrong_queue(str(ex)) from ex


def check_signal(signal: str) -> None:
    """Refuse names that no wait handle can have."""
    try:
        check_queue_name("The name of the signal", signal)
    except InvalidRequest as ex:
        raise falcon.HTTPBadRequest(
            title="Invalid signal identification", description=str(ex)
        ) from ex


def _uuid(text: str) -> str:
    """Return the canonical form, so that `echo` knows a client however it spells its id."""
    # SECURITY: with any number of hyphens it may be a UUID, but not one to remember.
    return _known_uuid(text) if len(text) <= _USUAL_UUID_CHARS else _parsed_uuid(text)


def _parsed_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as ex:
        raise _wrong_client_id(
            "The header Client-Id must be a UUID; this is a malformed hexadecimal UUID."
        ) from ex


_known_uuid = lru_cache(maxsize=4096)(_parsed_uuid)


def _project(text: str) -> str:
    if not text:
        raise falcon.HTTPBadRequest(
            title="Empty project header not allowed",
            description="The header X-Project-ID must not be empty.",
        )
    project = _decoded(text)
    if len(project) > MAX_PROJECT_CHARS:
        raise _wrong_queue(f"X-Project-ID must not exceed {MAX_PROJECT_CHARS} characters.")
    return project


def _decoded(text: str) -> str:
    """Return the text of a header, which is in UTF-8 though HTTP says Latin-1."""
    try:
        return text if text.isascii() else text.encode("latin-1").decode()
    except UnicodeDecodeError as ex:
        raise _wrong_queue("X-Project-ID must be valid UTF-8.") from ex


def _wrong_client_id(text: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Wrong UUID value", description=text)


def _wrong_queue(text: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Invalid queue identification", description=text)


def idempotency_key(req: falcon.asgi.Request) -> str | None:
    """Return the client's key for repeating this write safely, if any."""
    key = header(req, b"idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest(
            f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY_CHARS} visible ASCII "
            "characters."
        )
    return key


def accepted(req: falcon.asgi.Request, resource: object) -> Media:
    """Return the encoding of the answer that the client asks for; JSON when it may.

    Sets `req.context.streams` when it asks for events, and `resource` has some.

    Raises: HTTPNotAcceptable when it accepts neither JSON nor MessagePack.
    """
    usual = _USUAL.get(header(req, b"accept"))
    if usual is not None:
        return usual
    streams = req.method == "GET" and getattr(resource, "streams", False)
    preferred = req.client_prefers((*_ACCEPTABLE, EVENTS) if streams else _ACCEPTABLE)
    if preferred == EVENTS:
        req.context.streams = True
        return Media.JSON
    if preferred is None:
        raise falcon.HTTPNotAcceptable(
            description=f"Accept must admit {media.JSON} or {media.MSGPACK}."
        )
    return Media.MSGPACK if preferred in media.MSGPACK_NAMES else Media.JSON


def last_event_id(req: falcon.asgi.Request) -> str | None:
    """Return the id of the event after which a stream is to go on, if the client has one."""
    return header(req, b"last-event-id") or None


def check_content_type(req: falcon.asgi.Request, resource: object) -> None:
    """Refuse HTML forms: what a plain `curl -d` sends is no JSON document by intent.

    Except for a resource that takes `any_content_type`.
    """
    kind = req.content_type
    # NOTE: some clients name the charset as well.
    is_form = kind is not None and kind.lower().startswith(falcon.MEDIA_URLENCODED)
    if is_form and req.content_length:
        if getattr(resource, "any_content_type", False):
            return
        raise falcon.HTTPBadRequest(
            title="Invalid Content-Type",
            description=f"Content-Type must be {media.JSON} or {media.MSGPACK}.",
        )
