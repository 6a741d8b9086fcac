"""No statement reads more than its page, whatever lies beside it (promise 7)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storage_drivers.sqlite.claims import Claims
from storage_drivers.sqlite.connection import Link
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.messages import Messages
from storage_drivers.sqlite.queues import Queues
from storage_drivers.sqlite.readers import Reader
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import new_writer, orders
from tests.factories import new_messages

NOUNS = (
    "claims",
    "credentials",
    "idempotency",
    "messages",
    "queues",
    "quotas",
    "records",
    "sequence",
    "sweep",
)
DEPTH = 20_000

#: The tables that a plan may read from end to end: one row, and what is removed next.
SMALL = {"sequence", "revocations", "garbage", "CONSTANT", "(subquery-1)", "(subquery-3)"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


def plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    columns = ", ".join("?" * 11)
    sql = sql.format(seqs="?, ?, ?", rows=f"({columns})")
    arguments = [1] * sql.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", arguments)]


async def test_no_statement_scans_or_sorts(path: Path) -> None:
    async with orders(path):
        connection = sqlite3.connect(path)
    for noun in NOUNS:
        for name, sql in statements(noun).items():
            for step in plan(connection, sql):
                assert "TEMP B-TREE" not in step, (noun, name, step)
                if step.startswith("SCAN"):
                    assert step.split()[1] in SMALL, (noun, name, step)
    connection.close()


def test_every_script_is_used_and_every_statement_has_a_name() -> None:
    folder = Path(__file__).parents[2] / "storage_drivers" / "sqlite"
    sources = "".join(path.read_text() for path in folder.glob("*.py"))
    scripts = {path.stem for path in (folder / "scripts").glob("[a-z]*.sql")}
    assert scripts == set(NOUNS)
    for noun in NOUNS:
        for name in statements(noun):
            assert f'"{name}"' in sources, f"{noun}.{name} is used nowhere"


class CountingLink(Link):
    """A link that counts the steps of SQLite's virtual machine, in tens."""

    steps = 0

    def connected(self) -> sqlite3.Connection:
        connection = super().connected()
        connection.set_progress_handler(self._count, 10)
        return connection

    def _count(self) -> int:
        CountingLink.steps += 1
        return 0


async def held(queue: QueueHandle, lease_s: float = 1800) -> None:
    for number in range(DEPTH // 1000):
        await queue.claim_some(1000, claim_id=f"deep-{number}", lease_s=lease_s)


async def expired(queue: QueueHandle) -> None:
    await queue.post(*new_messages(DEPTH, ttl_s=60))
    queue.clock.advance(s=61)
    await swept(queue)


async def swept(queue: QueueHandle) -> None:
    while await queue.storage.sweep(limit=1000, now_ms=queue.now_ms):
        pass


async def claimed(queue: QueueHandle) -> None:
    await queue.post(*new_messages(DEPTH))
    await held(queue)


async def lapsed(queue: QueueHandle) -> None:
    await queue.post(*new_messages(DEPTH))
    await held(queue, lease_s=60)
    queue.clock.advance(s=61)
    await swept(queue)


async def delayed(queue: QueueHandle) -> None:
    await queue.post(*new_messages(DEPTH, delay_s=1800))


async def ready(queue: QueueHandle) -> None:
    await queue.post(*new_messages(DEPTH))


async def elsewhere(queue: QueueHandle) -> None:
    other = queue.on(queue="other")
    await other.create()
    await claimed(other)
    await delayed(other)


CALLS: dict[str, Callable[[QueueHandle], Awaitable[object]]] = {
    "post": lambda queue: queue.post(*new_messages(10)),
    "list": lambda queue: queue.page(limit=10),
    "list, delayed too": lambda queue: queue.page(limit=10, delayed=True),
    "list, all": lambda queue: queue.page(limit=10, delayed=True, claimed=True),
    "stats": lambda queue: queue.stats(),
    "tail": lambda queue: queue.tail(),
    "next due": lambda queue: queue.next_due(),
    "claim": lambda queue: queue.claim_some(10, claim_id="mine"),
    "get claim": lambda queue: queue.get_claim("mine"),
    "renew": lambda queue: queue.renew("mine"),
    "release": lambda queue: queue.release("mine"),
    "hold": lambda queue: queue.hold(1, 2, 3),
    "claim beyond expiry": lambda queue: queue.claim_some(10, claim_id="long", lease_s=9000),
    "renew beyond expiry": lambda queue: queue.renew("long", lease_s=20000),
    "delete some": lambda queue: queue.delete(1, 2, 3, claim_ids=[]),
    "delete one": lambda queue: queue.delete(1, claim_ids=["mine"]),
    "pop": lambda queue: queue.pop(10),
    "purge": lambda queue: queue.purge(),
}


async def steps(
    path: Path, fill: Callable[[QueueHandle], Awaitable[None]] | None
) -> dict[str, int]:
    """Return the steps that each call takes on a queue that was filled before."""
    async with orders(path) as queue:
        if fill is not None:
            await fill(queue)
        await queue.post(*new_messages(30))
        writer = Lane("w", [new_writer(path, CountingLink(path, 1000))], timeout_ms=10_000)
        readers = Lane("r", [Reader(CountingLink(path, 1000))], timeout_ms=10_000)
        storage = queue.storage
        storage.queues = Queues(writer, readers)
        storage.messages = Messages(writer, readers)
        storage.claims = Claims(writer, readers)
        taken: dict[str, int] = {}
        for name, call in CALLS.items():
            CountingLink.steps = 0
            await call(queue)
            taken[name] = CountingLink.steps * 10
        await asyncio.gather(writer.close(), readers.close())
        return taken


@pytest.mark.parametrize("fill", [ready, claimed, delayed, expired, lapsed, elsewhere])
async def test_calls_take_as_many_steps_among_20000_messages_as_alone(
    path: Path, fill: Callable[[QueueHandle], Awaitable[None]]
) -> None:
    alone = await steps(path.with_name("alone.db"), None)
    among = await steps(path, fill)
    excess = {
        name: (alone[name], among[name]) for name in CALLS if among[name] > alone[name] + 300
    }
    assert excess == {}
