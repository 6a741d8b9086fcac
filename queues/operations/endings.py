"""What happens to wait handles by itself: they time out, and somebody is told of the end.

The handle is its own outbox: the step that ends it also says that its target is still to be
told, and makes it due at once. Telling is a step after that, so nobody is told of an end that
another one could still prevent.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from queues import notices, signal_documents, signals
from queues.clock import Clock
from queues.errors import InvalidRequest, QuotaExceeded, RateExceeded
from queues.model import Media, Taken
from queues.operations.handles import Handles, Kept
from queues.operations.messages import Draft, MessageOperations
from queues.operations.notices import Notices
from queues.records import legible
from queues.signals import Handle, Target

_log = logging.getLogger("nusku.signals")

#: Whose messages about ends are.
_CLIENT_ID = "00000000-0000-0000-0000-000000000000"


class Endings:
    """Ends handles whose time is over, and tells of those that have ended."""

    def __init__(
        self, clock: Clock, *, handles: Handles, messages: MessageOperations, outbox: Notices
    ) -> None:
        """Work on `handles`; queues are told by `messages`, webhooks by way of the `outbox`."""
        self._clock = clock
        self._handles = handles
        self._messages = messages
        self._outbox = outbox

    async def attend(self, taken: Taken) -> None:
        """Do what is due about a handle.

        May be interrupted, and repeated, at any point: who is told again under the same key
        knows it already.
        """
        project = taken.project
        kept = Kept(taken.record, signal_documents.decoded(legible(taken.record)))
        handle = signals.settled(kept.handle, self._clock.now_ms())
        if handle is kept.handle and handle.is_to_be_told:
            handle = await self._told(project, kept.name, handle)
        # NOTE: whoever has changed it meanwhile has said when it is due.
        await self._handles.change(project, kept, handle)

    async def _told(self, project: str, name: str, handle: Handle) -> Handle:
        target = handle.terms.notify or Target()
        if target.queue is not None:
            return await self._told_queue(project, name, handle, target.queue)
        to = notices.address(target.webhook or "", {}, (handle.secret or "",))
        summary = signals.summary(name, handle)
        await self._outbox.send(project, name, f"{handle.incarnation}/end", summary, to=to)
        return replace(handle, told=True)

    async def _told_queue(self, project: str, name: str, handle: Handle, queue: str) -> Handle:
        body = json.dumps(signals.summary(name, handle)).encode()
        try:
            await self._messages.post(
                project,
                queue,
                [Draft(body, Media.JSON, None, None)],
                client_id=_CLIENT_ID,
                document_bytes=len(body),
                # SECURITY: no client can send this key, as it has a space.
                idempotency_key=f"signal {handle.incarnation}",
            )
        except (InvalidRequest, QuotaExceeded, RateExceeded) as ex:
            _log.warning("the queue of signal %s is told later: %s", name, ex)
            return replace(handle, attempts=handle.attempts + 1)
        return replace(handle, told=True)
