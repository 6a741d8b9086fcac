"""`/v2/websocket`: the API over one connection that stays open."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar, cast

import falcon
import falcon.asgi
from falcon.errors import WebSocketDisconnected

from queues.config import Settings
from queues.operations import Operations
from transport.audience import Audience
from transport.identity.door import Door
from transport.socket.conversation import Conversation
from transport.socket.frames import Payload


class Frames:
    """Lets frames pass as they are; what they say is read in `transport/socket`."""

    def serialize(self, media: Payload) -> Payload:
        """Return what is sent."""
        return media

    def deserialize(self, payload: Payload) -> Payload:
        """Return what was received."""
        return payload


class WebSocket:
    """`/v2/websocket`. Each frame says who sends it, so anybody may connect."""

    audience: ClassVar = Audience.ANYBODY

    def __init__(self, operations: Operations, settings: Settings, door: Door) -> None:
        """Serve `operations` to those whom `door` lets in."""
        self._operations = operations
        self._settings = settings
        self._door = door

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Say what is to be done here."""
        raise falcon.HTTPError(
            falcon.HTTP_426,
            title="Upgrade Required",
            description="This is the address of a WebSocket.",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """Talk until the connection ends."""
        if not self._door.is_closed and not _is_own_page(req):
            # NOTE: to the client, this is a 403.
            await ws.close()
            return
        with suppress(WebSocketDisconnected):
            await ws.accept()
            line = _Connection(ws)
            await Conversation(line, req, self._operations, self._settings, self._door).run()


class _Connection:
    """A WebSocket of Falcon, as a conversation needs it."""

    def __init__(self, ws: falcon.asgi.WebSocket) -> None:
        self._ws = ws

    async def receive(self) -> Payload | None:
        try:
            return cast(Payload, await self._ws.receive_media())
        except WebSocketDisconnected:
            return None

    async def send(self, payload: Payload) -> None:
        try:
            if isinstance(payload, str):
                await self._ws.send_text(payload)
            else:
                await self._ws.send_data(payload)
        except WebSocketDisconnected:
            # The client is gone; `receive` says so, too.
            return

    async def close(self, code: int, reason: str) -> None:
        await self._ws.close(code, reason)


def _is_own_page(req: falcon.asgi.Request) -> bool:
    """Say whether the connection comes from a page of this host, or from no page at all.

    SECURITY: browsers let every page connect to every WebSocket, and without a strategy
    nothing else keeps the pages that a developer visits from their local queues.

    NOTE: an origin is no more than `scheme://host:port` (RFC 6454, section 6.2).
    """
    origin = req.get_header("Origin")
    return origin is None or origin.partition("://")[2] == req.get_header("Host")
