"""All reading of requests about dead letters."""

from __future__ import annotations

from typing import Any

import falcon.asgi
import msgspec

from queues.config import Settings
from queues.redrives import Wanted
from transport import media, requests
from transport.bodies import BodyReader
from transport.media import Document


class _Filter(msgspec.Struct, forbid_unknown_fields=True):
    source: str | None = None
    reason: str | None = None
    body: dict[str, Any] | None = None


class _Redrive(msgspec.Struct, forbid_unknown_fields=True):
    to: str | None = None
    filter: _Filter = msgspec.field(default_factory=_Filter)
    rate: int | float | None = None
    limit: int | None = None


class LetterRequestReader:
    """Reads requests under the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Take the caps from `settings`."""
        self._cap_bytes = settings.max_queue_metadata_bytes
        self._page_cap = settings.max_messages_per_page
        self._bodies = BodyReader(settings.body_timeout_s)

    def page(self, req: falcon.asgi.Request) -> tuple[str, int]:
        """Return marker and limit of a listing."""
        return requests.page(req, self._page_cap)

    async def wanted(self, req: falcon.asgi.Request) -> Wanted:
        """Return which letters are to be moved; no body means all, to where they came from."""
        data = await self._bodies.read(req, self._cap_bytes)
        if not data:
            return Wanted()
        asked = media.decode(Document(data, media.named(req.content_type)), _Redrive)
        return Wanted(
            to=asked.to,
            source=asked.filter.source,
            reason=asked.filter.reason,
            body=asked.filter.body,
            rate_per_s=asked.rate,
            limit=asked.limit,
        )
