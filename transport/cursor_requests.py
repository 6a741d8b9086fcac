"""All reading of requests about cursors."""

from __future__ import annotations

from typing import TypeVar

import falcon.asgi
import msgspec

from queues.config import Settings
from queues.limits import DEFAULT_PAGE
from queues.operations.cursors import OLDEST
from transport import media, requests
from transport.bodies import BodyReader
from transport.media import Document

T = TypeVar("T")


class _New(
    msgspec.Struct, rename={"start": "from"}, forbid_unknown_fields=True, omit_defaults=True
):
    start: str = OLDEST


class _Acknowledged(msgspec.Struct, forbid_unknown_fields=True):
    position: str


class CursorRequestReader:
    """Reads requests under the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Take the caps from `settings`."""
        self._cap_bytes = settings.max_queue_metadata_bytes
        self._settings = settings
        self._bodies = BodyReader(settings.body_timeout_s)

    def page(self, req: falcon.asgi.Request) -> tuple[str, int]:
        """Return marker and limit of a listing."""
        return requests.page(req, self._settings.max_queues_per_page)

    def reading(self, req: falcon.asgi.Request) -> tuple[str | None, int]:
        """Return the position to read behind, if it is not that of the cursor, and a limit."""
        page = min(DEFAULT_PAGE, self._settings.max_messages_per_page)
        return req.get_param("after"), req.get_param_as_int("limit", default=page)

    def wait_s(self, req: falcon.asgi.Request) -> int:
        """Return how many seconds to wait if there is nothing."""
        return requests.wait_s(req, self._settings.max_wait_s)

    async def start(self, req: falcon.asgi.Request) -> str:
        """Return where a new cursor is to begin; without a body with what is there."""
        data = await self._bodies.read(req, self._cap_bytes)
        return self._decode(req, data, _New).start if data else OLDEST

    async def position(self, req: falcon.asgi.Request) -> str:
        """Return the position that is acknowledged."""
        data = await self._bodies.read(req, self._cap_bytes)
        return self._decode(req, data, _Acknowledged).position

    def _decode(self, req: falcon.asgi.Request, data: bytes, shape: type[T]) -> T:
        return media.decode(Document(data, media.named(req.content_type)), shape)
