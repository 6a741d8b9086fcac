"""Reading on and on: all messages of a queue, in its order, none left out."""

from __future__ import annotations

from itertools import takewhile

from queues import ids
from queues.clock import Clock
from queues.errors import InvalidRequest
from queues.operations.messages import Snapshot
from queues.storage import Storage

#: So many messages are read at a time.
PAGE = 20


class Following:
    """For readers that take nothing away: each sees what is claimed by others, too."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        """Read from `storage`, with the time of `clock`."""
        self._storage = storage
        self._clock = clock

    async def start(self, project: str, queue: str, marker: str | None) -> int:
        """Return the sequence to read on from: that of a message, or that of the last one.

        Raises: InvalidRequest for what is no message id of this queue.
        """
        if marker is None:
            return (await self._storage.messages.tail(project, queue)).seq
        seq = ids.parse_message_id(marker, ids.queue_tag(project, queue))
        if seq is None:
            raise InvalidRequest(f"marker: {marker!r} is no message id of queue {queue}.")
        return seq

    async def read(
        self,
        project: str,
        queue: str,
        after_seq: int,
        *,
        include_claimed: bool = True,
        include_delayed: bool = False,
        exclude_client_id: str | None = None,
    ) -> Snapshot:
        """Return the next messages; `next_seq` is None when there are none yet.

        Unless delayed messages are wanted as they are, one whose delay is running holds up
        those behind it until it is due.
        """
        now_ms = self._clock.now_ms()
        page = await self._storage.messages.list(
            project,
            queue,
            after_seq=after_seq,
            limit=PAGE,
            include_claimed=include_claimed,
            include_delayed=True,
            exclude_client_id=exclude_client_id,
            now_ms=now_ms,
        )
        seen = page.messages
        if not include_delayed:
            seen = list(takewhile(lambda one: one.claim_id or not one.visible_ms, seen))
        whole = len(seen) == len(page.messages)
        next_seq = page.next_seq if whole else seen[-1].seq if seen else None
        return Snapshot(seen, ids.queue_tag(project, queue), now_ms, next_seq)
