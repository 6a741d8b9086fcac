"""Counts and due times, which are written once a batch, agree with the messages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from queues.errors import NuskuError, QueueChanged
from queues.model import Claim, DeadLetterPolicy
from storage_drivers.sqlite.lane import Call
from storage_drivers.sqlite.layout import INLINE_BODY_BYTES
from storage_drivers.sqlite.transaction import Transaction
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import contradictions, new_writer, opened, orders
from tests.factories import new_message, new_messages

LONG = b'"' + b"x" * INLINE_BODY_BYTES + b'"'
POLICY = DeadLetterPolicy("graveyard", 2, None, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


class History:
    """Random calls on a few queues, as many at a time as share a commit."""

    def __init__(self, queue: QueueHandle, seed: int) -> None:
        self.random = random.Random(seed)
        self.queues = [queue, queue.on(queue="graveyard"), queue.on(queue="third")]
        self.seqs: list[int] = [0]
        self.claims: list[str] = ["unknown"]

    async def run(self) -> None:
        for queue in self.queues[::2]:
            await queue.create()
        for _ in range(30):
            await asyncio.gather(*(self.call() for _ in range(12)))
            self.queues[0].clock.advance(s=self.random.choice([0, 0, 1, 20]))

    def call(self) -> Awaitable[object]:
        queue, chance = self.random.choice(self.queues), self.random.random()
        claim_id, few = self.random.choice(self.claims), self.random.randint(1, 8)
        if chance < 0.3:
            return self.post(queue, few)
        if chance < 0.6:
            return self.claim(queue, few)
        if chance < 0.97:
            return self.change(queue, claim_id, few)
        return queue.purge() if chance < 0.99 else self.anew(queue)

    def change(self, queue: QueueHandle, claim_id: str, few: int) -> Awaitable[object]:
        seqs = self.random.choices(self.seqs, k=few)
        changes: list[Callable[[], Awaitable[object]]] = [
            lambda: queue.release(claim_id),
            lambda: self.refusable(queue.renew(claim_id, lease_s=few)),
            lambda: queue.pop(few),
            lambda: queue.delete(*seqs, claim_ids=None),
            lambda: queue.delete(*seqs, claim_ids=[claim_id]),
            lambda: queue.storage.sweep(limit=few, now_ms=queue.now_ms),
        ]
        return self.random.choice(changes)()

    async def anew(self, queue: QueueHandle) -> None:
        await queue.drop()
        await queue.create()

    async def refusable(self, call: Awaitable[object]) -> object:
        try:
            return await call
        except NuskuError as ex:
            return ex

    async def post(self, queue: QueueHandle, count: int) -> None:
        messages = [
            new_message(
                body=self.random.choice([b"1", LONG]),
                ttl_s=self.random.choice([60, 100]),
                delay_s=self.random.choice([0, 0, 5]),
            )
            for _ in range(count)
        ]
        seqs = await self.refusable(queue.post(*messages))
        self.seqs += seqs if isinstance(seqs, list) else []

    async def claim(self, queue: QueueHandle, limit: int) -> None:
        claim = await self.refusable(
            queue.claim(limit, lease_s=self.random.choice([5, 80]), dead_letter=POLICY)
        )
        self.claims += [claim.id] if isinstance(claim, Claim) else []


@pytest.mark.parametrize("seed", range(4))
async def test_counts_agree_with_the_messages_after_any_history(path: Path, seed: int) -> None:
    async with orders(path) as queue:
        history = History(queue, seed)
        for _ in range(3):
            await history.run()
            assert contradictions(path) == []


async def test_a_write_that_is_undone_takes_its_counts_along(path: Path) -> None:
    async with orders(path) as queue:
        await queue.post()

        def post(transaction: Transaction) -> None:
            place = transaction.locate(queue.project, queue.queue)
            assert place is not None
            (seq,) = transaction.next_sequences(1, queue.now_ms)
            transaction.insert((seq, place.bucket_id, 0, None, 2**60, 0, 1, 0, b"", b"1", 1))
            place.count(total=1)

        def post_and_fail(transaction: Transaction) -> None:
            post(transaction)
            raise QueueChanged("after a change")

        loop = asyncio.get_running_loop()
        works = [post, post_and_fail, post]
        writer = new_writer(path)
        for _ in range(2):
            calls = [Call(work, loop.create_future(), 0) for work in works]
            writer.run(calls)
            assert [type(call.result) for call in calls] == [
                type(None),
                QueueChanged,
                type(None),
            ]
        writer.close()
        assert contradictions(path) == []
        assert await queue.counts() == (0, 5)


async def test_what_another_process_did_to_a_queue_is_seen_at_once(path: Path) -> None:
    async with orders(path) as queue, opened(path) as other:
        there = queue.on(storage=other)
        await queue.post()
        await there.purge()
        await queue.post()
        assert await there.counts() == (0, 1)
        await there.drop()
        with pytest.raises(QueueChanged):
            await queue.post()
        await there.create()
        await queue.post(*new_messages(3))
        await there.claim_some(2)
        assert await queue.counts() == (2, 3)
        assert len(await queue.pop(5)) == 1
        assert max(await there.post()) < max(await queue.post())
        assert contradictions(path) == []


async def test_a_message_named_twice_in_one_deletion_counts_once(path: Path) -> None:
    async with orders(path) as queue:
        seqs = await queue.post(*new_messages(50))
        await queue.delete(*seqs[:40], *seqs[:40], claim_ids=None)
        assert await queue.counts() == (0, 10)


async def test_a_lease_that_is_cut_short_comes_due_earlier(path: Path) -> None:
    async with orders(path) as queue:
        await queue.post()
        claim = await queue.claim_some(lease_s=1000)
        await queue.renew(claim.id, lease_s=5)
        assert contradictions(path) == []
        queue.clock.advance(s=5)
        assert len(await queue.pop()) == 1
