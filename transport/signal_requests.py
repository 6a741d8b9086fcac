"""All reading of requests about wait handles, and of signals in whatever form they come."""

from __future__ import annotations

from typing import Any

import falcon.asgi
import msgspec

from queues import signal_forms
from queues.config import Settings
from queues.errors import InvalidRequest
from queues.limits import DEFAULT_PAGE
from queues.operations.signals import DataQuery, SignalQuery
from queues.signals import Signal, State, Target, Terms
from transport import headers, media
from transport.bodies import BodyReader
from transport.media import Document
from transport.requests import RequestReader


class _Target(msgspec.Struct, forbid_unknown_fields=True):
    queue: str | msgspec.UnsetType = msgspec.UNSET
    webhook: str | msgspec.UnsetType = msgspec.UNSET


class _Terms(msgspec.Struct, forbid_unknown_fields=True):
    timeout: int
    count: int = 1
    heartbeat: int | None = None
    data: Any = None
    notify: _Target | None = None


class SignalRequestReader:
    """Reads requests under the limits of the settings."""

    def __init__(self, settings: Settings, requests: RequestReader) -> None:
        """Take the caps from `settings`; what is not about signals is read by `requests`."""
        self._settings = settings
        self._bodies = BodyReader(settings.body_timeout_s)
        self.wait_s = requests.wait_s

    async def terms(self, req: falcon.asgi.Request) -> Terms:
        """Return what is to be waited for."""
        data = await self._bodies.read(req, self._settings.max_queue_metadata_bytes)
        wanted = media.decode(Document(data, media.named(req.content_type)), _Terms)
        given = wanted.notify
        notify = None if given is None else Target(**msgspec.to_builtins(given))
        shown = msgspec.to_builtins(wanted.data)
        return Terms(wanted.count, wanted.timeout, wanted.heartbeat, shown, notify)

    async def signal(self, req: falcon.asgi.Request) -> Signal:
        """Return the signal in the body; none at all is a success.

        Whatever type it claims to have, it is JSON unless it says MessagePack: cfn-signal says
        nothing, and a plain `curl -d` says that it is a form.
        """
        data = await self._bodies.read(req, self._settings.max_signal_bytes)
        document = Document(data, media.named(req.content_type))
        value = msgspec.to_builtins(media.decode(document, Any)) if data else {}
        signal = signal_forms.parsed(value)
        return signal if signal.id else signal._replace(id=headers.idempotency_key(req))

    def query(self, req: falcon.asgi.Request) -> SignalQuery:
        """Return what a listing of handles asks for.

        Raises: InvalidRequest for a state that there is not.
        """
        state = req.get_param("state")
        if state is not None and state not in set(State):
            raise InvalidRequest(f"state must be one of {', '.join(State)}.")
        return SignalQuery(
            marker=req.get_param("marker") or "",
            limit=req.get_param_as_int("limit", default=DEFAULT_PAGE),
            prefix=req.get_param("prefix") or "",
            state=None if state is None else State(state),
        )

    def data_query(self, req: falcon.asgi.Request) -> DataQuery:
        """Return which data of a handle are asked for: as many as may be, unless it says."""
        cap = self._settings.max_signals_per_page
        limit = req.get_param_as_int("limit", default=cap)
        return DataQuery(req.get_param("marker") or "", limit)
