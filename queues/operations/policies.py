"""The policy of a queue, known without asking the store and yet never out of date.

Each process remembers the policy of queues it has worked with, by version. The version
travels into the atomic step of the driver, which refuses with `QueueChanged` when it is not
the current one; then the policy is read again and the step repeated. So a change made
through any process takes effect for the next request of all, and costs no round trip.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from queues import ids, metadata
from queues.clock import Clock
from queues.errors import (
    InvalidRequest,
    MessageSealed,
    QueueChanged,
    QueueNotFound,
    StorageUnavailable,
)
from queues.limits import Limits
from queues.metadata import QueuePolicy
from queues.model import Queue, RecordKind
from queues.storage import Storage

T = TypeVar("T")

_REMEMBERED = 10_000
#: A queue may change so often while a request follows it: whoever posts must outlast a burst of
#: patches or subscriptions.
_ATTEMPTS = 100
_NO_KEY = (
    "queue {queue} is encrypted, and the file in the setting keys_file has no key for that"
)
_NO_KEY_FOR_MESSAGES = (
    "queue {queue} holds encrypted messages, and the file in the setting keys_file has no key"
    " for them"
)


class Policies:
    """The remembered policies of one process."""

    def __init__(self, storage: Storage, limits: Limits, clock: Clock) -> None:
        """Read queues from `storage` and fill in defaults from `limits`."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._absent = metadata.policy({}, None, limits, subscribed=False)
        self._known: dict[tuple[str, str], QueuePolicy] = {}

    async def apply(
        self, project: str, queue: str, step: Callable[[QueuePolicy], Awaitable[T]]
    ) -> T:
        """Return what `step` returns under the current policy of the queue.

        `step` is repeated when it raises `QueueChanged`, and when it raises `InvalidRequest`
        under a policy that turns out not to be the current one. For an absent queue it gets the
        default policy with version None.

        Raises: StorageUnavailable when the queue changes faster than the step can run, or
        asks for encryption or holds encrypted messages and this server has no key for that.
        """
        for _ in range(_ATTEMPTS):
            known = self._known.get((project, queue)) or await self._read(project, queue)
            if known.seal and not self._storage.capabilities.encrypts:
                # SECURITY: or else posts would be stored in clear, and pops would destroy
                # what nobody here can read.
                self._known.pop((project, queue), None)
                raise StorageUnavailable(_NO_KEY.format(queue=queue))
            try:
                return await step(known)
            except QueueChanged:
                self._known.pop((project, queue), None)
            except InvalidRequest:
                # NOTE: the store was not asked, so it could not say that this is outdated.
                self._known.pop((project, queue), None)
                if (await self._read(project, queue)).version == known.version:
                    raise
            except MessageSealed as ex:
                raise StorageUnavailable(_NO_KEY_FOR_MESSAGES.format(queue=queue)) from ex
        raise StorageUnavailable("the queue changes faster than the request can follow")

    async def remember(self, project: str, queue: Queue) -> QueuePolicy:
        """Note a queue as just read or written, and return its policy.

        NOTE: a subscription that is stored after we looked gives the queue another version
        after it, so what is missed here is refused there.
        """
        subscriptions = await self._storage.records.list(
            project,
            RecordKind.SUBSCRIPTION,
            queue.name,
            prefix="",
            marker="",
            limit=1,
            now_ms=self._clock.now_ms(),
        )
        policy = metadata.policy(
            metadata.decode(queue.metadata),
            queue.version,
            self._limits,
            subscribed=bool(subscriptions),
        )
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[project, queue.name] = policy
        return policy

    async def renew(self, project: str, queue: str) -> None:
        """Let all processes read the queue anew, as what belongs to it was changed before.

        Gives it another version, unless somebody else just does, which is as good.
        """
        found = await self._storage.queues.get(project, queue)
        if found is not None:
            with contextlib.suppress(QueueChanged, QueueNotFound):
                await self._storage.queues.update(
                    project,
                    queue,
                    metadata=found.metadata,
                    expected_version=found.version,
                    version=ids.new_version(),
                )
        self.forget(project, queue)

    def forget(self, project: str, queue: str) -> None:
        """Read the queue anew in this process."""
        self._known.pop((project, queue), None)

    async def _read(self, project: str, queue: str) -> QueuePolicy:
        found = await self._storage.queues.get(project, queue)
        return await self.remember(project, found) if found else self._absent
