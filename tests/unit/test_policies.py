"""The remembered policies: never out of date, and one round trip less."""

from __future__ import annotations

import pytest

from queues import metadata
from queues.errors import QueueChanged, StorageUnavailable
from queues.limits import Limits
from queues.metadata import QueuePolicy
from queues.model import Queue
from queues.operations import policies
from queues.operations.policies import Policies
from tests.clock import MovableClock

LIMITS = Limits()


class OneQueue:
    """A storage with one queue that another process may change; counts its reads."""

    def __init__(self) -> None:
        self.queues = self.records = self
        self.queue: Queue | None = None
        self.reads = 0

    def change(self, version: int, **attributes: object) -> None:
        stored = metadata.encode(attributes, LIMITS)
        self.queue = Queue("q", stored, version, created_ms=0)

    async def get(self, project: str, queue: str) -> Queue | None:
        self.reads += 1
        return self.queue if queue == "q" else None

    async def list(self, *place: object, **asked: object) -> list[object]:
        """Return the subscriptions, of which there are none."""
        return []

    async def step(self, policy: QueuePolicy) -> QueuePolicy:
        """Do what a driver does with the version it is given."""
        if policy.version != (self.queue.version if self.queue else None):
            raise QueueChanged("changed")
        return policy


@pytest.fixture
def store() -> OneQueue:
    return OneQueue()


@pytest.fixture
def known(store: OneQueue, clock: MovableClock) -> Policies:
    return Policies(store, LIMITS, clock)  # type: ignore[arg-type]


async def test_an_absent_queue_has_the_default_policy(known: Policies, store: OneQueue) -> None:
    assert (await known.apply("p", "q", store.step)).version is None


async def test_a_queue_is_read_once(known: Policies, store: OneQueue) -> None:
    store.change(1, _default_message_ttl=60)
    for _ in range(5):
        assert (await known.apply("p", "q", store.step)).message_ttl_s == 60
    assert store.reads == 1


async def test_a_change_by_another_process_holds_for_the_next_request(
    known: Policies, store: OneQueue
) -> None:
    store.change(1, _default_message_ttl=60)
    await known.apply("p", "q", store.step)
    store.change(2, _default_message_ttl=90)
    assert (await known.apply("p", "q", store.step)).message_ttl_s == 90


async def test_a_deleted_queue_is_noticed(known: Policies, store: OneQueue) -> None:
    store.change(1)
    await known.apply("p", "q", store.step)
    store.queue = None
    assert (await known.apply("p", "q", store.step)).version is None


async def test_a_queue_that_never_stands_still_is_given_up(
    known: Policies, store: OneQueue
) -> None:
    store.change(1)

    async def step(policy: QueuePolicy) -> None:
        raise QueueChanged("changed")

    with pytest.raises(StorageUnavailable):
        await known.apply("p", "q", step)
    assert store.reads <= 200


async def test_projects_do_not_share_policies(known: Policies, store: OneQueue) -> None:
    store.change(1, _default_message_ttl=60)
    await known.apply("p", "q", store.step)
    await known.apply("other", "q", store.step)
    assert store.reads == 2


async def test_what_is_remembered_is_bounded(
    known: Policies, store: OneQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "_REMEMBERED", 3)
    store.change(1)
    for project in "abcd":
        await known.apply(project, "q", store.step)
    await known.apply("d", "q", store.step)
    assert store.reads == 4
    await known.apply("a", "q", store.step)
    assert store.reads == 5, "the oldest was forgotten"
