"""The fourth part of the storage contract: hearing that something happened, in any process.

A wake-up is a hint. It says where to look and nothing else; whoever hears it asks the store.
Hints may come too often and too early, never only too late: a driver that may have missed
some says so, by a hint about everything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from queues.model import Topic

#: Called in the event loop with what to look at, or None for everything. Must not block.
Heard = Callable[[Topic | None], None]


class Wakeups(ABC):
    """Carries hints between all processes that share a store.

    Each of these tells the `Topic` of its queue, once its change can be seen: a post, a
    release, a renewal, the arrival of a dead letter. Nothing else does by itself: for other
    topics there is `tell`.

    Where the store can push, a hint arrives within milliseconds. Where it cannot, or the
    connection was lost, a bounded poll stands in: all that is watched in a process costs the
    store at most one question a second, and a hint is at most about a second late.
    """

    @abstractmethod
    def listen(self, heard: Heard) -> None:
        """Call `heard` from now on. Called once, when the storage is open."""

    @abstractmethod
    async def watch(self, topic: Topic) -> None:
        """Hear of this topic until `forget`. When it returns, nothing later is missed.

        Watching again what is watched changes nothing. Never raises for a store that is away:
        then everything is hinted at when it is back.
        """

    @abstractmethod
    async def forget(self, topic: Topic) -> None:
        """Hear no more of this topic. One that is not watched is no error."""

    @abstractmethod
    def tell(self, topic: Topic) -> None:
        """Let all who watch the topic hear of it, in this process and in the others.

        Returns at once and never fails; what cannot be sent is made up for as above.
        """
