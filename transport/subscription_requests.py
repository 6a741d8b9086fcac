"""All reading of requests for subscriptions and deliveries."""

from __future__ import annotations

from typing import Any

import falcon.asgi
import msgspec

from queues import signed_urls
from queues.config import Settings
from queues.deliveries import State
from queues.errors import InvalidRequest, MalformedBody
from queues.operations.deliveries import Selection, parse_state
from queues.operations.subscriptions import Caller
from queues.subscriptions import Wanted
from transport import media, requests
from transport.bodies import BodyReader
from transport.identity.strategy import presented_token
from transport.media import Document


class _Replay(msgspec.Struct, forbid_unknown_fields=True):
    ids: list[str] | None = None
    state: str | None = None
    since: str | None = None
    marker: str = ""


class SubscriptionRequestReader:
    """Reads requests under the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Take the caps from `settings`."""
        self._cap_bytes = settings.max_queue_metadata_bytes
        self._page_cap = settings.max_subscriptions_per_page
        self._bodies = BodyReader(settings.body_timeout_s)

    def caller(self, req: falcon.asgi.Request) -> Caller:
        """Return who asks, with the token that a trust could be made with."""
        return Caller(req.context.caller.identity, presented_token(req))

    def page(self, req: falcon.asgi.Request) -> tuple[str, int]:
        """Return marker and limit of a listing."""
        return requests.page(req, self._page_cap)

    def state(self, req: falcon.asgi.Request) -> State | None:
        """Return the state that deliveries are asked for by, if any."""
        return parse_state(req.get_param("state"))

    async def creation(self, req: falcon.asgi.Request) -> Wanted:
        """Return the subscription that is wanted."""
        return _wanted(_document(req, await self._data(req)))

    async def change(self, req: falcon.asgi.Request) -> Wanted:
        """Return what is to be changed; what is null or absent stays.

        Raises: InvalidRequest when that is everything.
        """
        data = await self._data(req)
        wanted = _wanted(_document(req, data) if data else {})
        if wanted == Wanted(None, None, None):
            raise InvalidRequest("Give at least one of subscriber, ttl and options.")
        return wanted

    async def confirmed(self, req: falcon.asgi.Request) -> bool:
        """Return whether the subscriber agrees."""
        confirmed = _document(req, await self._data(req)).get("confirmed")
        if not isinstance(confirmed, bool):
            raise InvalidRequest("The 'confirmed' should be boolean.")
        return confirmed

    async def selection(self, req: falcon.asgi.Request) -> Selection:
        """Return which deliveries are to be sent again.

        Raises: InvalidRequest unless it is said which, one way or the other.
        """
        data = await self._data(req)
        wanted = media.decode(Document(data, media.named(req.content_type)), _Replay)
        if (wanted.ids is None) == (wanted.state is None and wanted.since is None):
            raise InvalidRequest("Give either ids, or state or since or both.")
        since_ms = None
        if wanted.since is not None:
            since_ms = signed_urls.milliseconds(signed_urls.expiry(wanted.since))
        return Selection(wanted.ids, parse_state(wanted.state), since_ms, wanted.marker)

    async def _data(self, req: falcon.asgi.Request) -> bytes:
        return await self._bodies.read(req, self._cap_bytes)


def _document(req: falcon.asgi.Request, data: bytes) -> dict[str, Any]:
    document = media.decode(Document(data, media.named(req.content_type)), Any)
    if not isinstance(document, dict):
        raise MalformedBody("Subscriptions must be a dict.")
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return plain


def _wanted(document: dict[str, Any]) -> Wanted:
    """Check types with the words of Zaqar; keys that are not known are ignored as there."""
    subscriber, ttl_s = document.get("subscriber"), document.get("ttl")
    options = document.get("options")
    if subscriber is not None and not isinstance(subscriber, str):
        raise InvalidRequest("subscriber must be a string.")
    if ttl_s is not None and (isinstance(ttl_s, bool) or not isinstance(ttl_s, int)):
        raise InvalidRequest("ttl must be an integer.")
    if options is not None and not isinstance(options, dict):
        raise InvalidRequest("options must be a dict.")
    return Wanted(subscriber, ttl_s, options)
