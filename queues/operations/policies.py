"""The policy of a queue, known without asking the store and yet never out of date.

Each process remembers the policy of queues it has worked with, by version. The version
travels into the atomic step of the driver, which refuses with `QueueChanged` when it is not
the current one; then the policy is read again and the step repeated. So a change made
through any process takes effect for the next request of all, and costs no round trip.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from queues import metadata
from queues.errors import MessageSealed, QueueChanged, StorageUnavailable
from queues.limits import Limits
from queues.metadata import QueuePolicy
from queues.model import Queue
from queues.storage import Storage

T = TypeVar("T")

_REMEMBERED = 10_000
_ATTEMPTS = 10
_NO_KEY = (
    "queue {queue} is encrypted, and the file in the setting keys_file has no key for that"
)
_NO_KEY_FOR_MESSAGES = (
    "queue {queue} holds encrypted messages, and the file in the setting keys_file has no key"
    " for them"
)


class Policies:
    """The remembered policies of one process."""

    def __init__(self, storage: Storage, limits: Limits) -> None:
        """Read queues from `storage` and fill in defaults from `limits`."""
        self._storage = storage
        self._limits = limits
        self._absent = metadata.policy({}, None, limits)
        self._known: dict[tuple[str, str], QueuePolicy] = {}

    async def apply(
        self, project: str, queue: str, step: Callable[[QueuePolicy], Awaitable[T]]
    ) -> T:
        """Return what `step` returns under the current policy of the queue.

        `step` is repeated when it raises `QueueChanged`. For an absent queue it gets the
        default policy with version None.

        Raises: StorageUnavailable when the queue changes faster than the step can run, or
        asks for encryption or holds encrypted messages and this server has no key for that.
        """
        for _ in range(_ATTEMPTS):
            known = self._known.get((project, queue)) or await self._read(project, queue)
            if known.seal and not self._storage.capabilities.encrypts:
                # SECURITY: or else posts would be stored in clear, and pops would destroy
                # what nobody here can read.
                raise StorageUnavailable(_NO_KEY.format(queue=queue))
            try:
                return await step(known)
            except QueueChanged:
                self._known.pop((project, queue), None)
            except MessageSealed as ex:
                raise StorageUnavailable(_NO_KEY_FOR_MESSAGES.format(queue=queue)) from ex
        raise StorageUnavailable("the queue changes faster than the request can follow")

    def remember(self, project: str, queue: Queue) -> QueuePolicy:
        """Note a queue as just read or written, and return its policy."""
        policy = metadata.policy(metadata.decode(queue.metadata), queue.version, self._limits)
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[project, queue.name] = policy
        return policy

    async def _read(self, project: str, queue: str) -> QueuePolicy:
        found = await self._storage.queues.get(project, queue)
        return self.remember(project, found) if found else self._absent
