"""Webhooks: one request for one notification, in bounded time and with bounded memory."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore

from queues.clock import Clock
from queues.destinations import Destinations
from queues.retries import Outcome
from transport.outgoing.connecting import GuardedBackend, NotAllowed, NotResolved

#: Of an answer nothing but its head matters; no more than this is read to use the connection
#: again.
MAX_ANSWER_BYTES = 65_536

#: So many requests are under way at the same time.
AT_ONCE = 512

_KEPT = 100
_KEEP_S = 30.0


class Webhooks:
    """Sends requests. Connections that are free are used again.

    Redirects are not followed and proxies of the environment not used: both would lead to
    addresses that nobody has looked at.
    """

    def __init__(self, destinations: Destinations, clock: Clock, *, timeout_s: float) -> None:
        """Reach `destinations`; a whole exchange may take `timeout_s`."""
        self._clock = clock
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=AT_ONCE,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_KEEP_S,
            network_backend=GuardedBackend(destinations),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send a request, and return what became of it. Never raises."""
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._exchange(url, headers, body)
            except TimeoutError:
                return Outcome(None, f"no answer within {self._timeout_s:g} s")
            except NotAllowed:
                # SECURITY: which address it is may be nobody's business.
                return Outcome(None, "the host has no address that may be written to")
            except NotResolved:
                return Outcome(None, "the name of the host cannot be resolved")
            except (httpcore.ConnectError, ssl.SSLError) as ex:
                return Outcome(None, f"no connection: {_said(ex)}")
            except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as ex:
                return Outcome(None, f"the connection broke: {_said(ex)}")
            except (httpcore.UnsupportedProtocol, UnicodeError, ValueError) as ex:
                return Outcome(None, f"this cannot be sent: {_said(ex)}", permanent=True)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        sent = [*headers.items()]
        if not any(name.lower() == "user-agent" for name in headers):
            sent.append(("User-Agent", "nusku"))
        async with self._pool.stream("POST", url, headers=sent, content=body) as answer:
            read = 0
            async for piece in answer.aiter_stream():
                read += len(piece)
                if read > MAX_ANSWER_BYTES:
                    break
            return Outcome(answer.status, retry_after_s=self._retry_after_s(answer.headers))

    def _retry_after_s(self, headers: list[tuple[bytes, bytes]]) -> float | None:
        """Return how long the receiver asks to be left alone, in seconds or until a date."""
        for name, value in headers:
            if name.lower() == b"retry-after":
                return _seconds(value.decode("latin-1"), self._clock.now_ms())
        return None


def _seconds(text: str, now_ms: int) -> float | None:
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def _said(ex: Exception) -> str:
    return str(ex) or type(ex).__name__
