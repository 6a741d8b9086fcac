"""Server processes that keep wait handles in one store, and short forms for what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from queues import deliveries
from queues.authorization import Authorization
from queues.deliveries import Delivery
from queues.errors import NuskuError
from queues.identity import Grant, Identity
from queues.keys import KeyRing
from queues.limits import Limits
from queues.model import Record, RecordKind
from queues.operations import Operations
from queues.operations.agenda import LEASE_MS
from queues.operations.endings import Endings
from queues.operations.notifying import Notifying
from queues.operations.polls import Patience
from queues.operations.signalling import Receipt
from queues.operations.signals import DataQuery, Made, Shown, SignalQuery
from queues.signals import Handle, Signal, State, Status, Target, Terms
from queues.storage import Storage
from tests.clock import MovableClock
from tests.transport.faults import FaultyStorage

PROJECT = "p"
NAME = "boot"
MAKER = Identity(PROJECT)
KEYS = KeyRing(signed_urls={"k": b"secret"})


def success(sender: str | None, data: Any = None) -> Signal:
    return Signal(id=sender, data=data)


def failure(sender: str | None, reason: str | None = None, data: Any = None) -> Signal:
    return Signal(Status.FAILURE, reason, sender, data)


class Process:
    """One server process: its operations, and the storage whose calls a test may disturb."""

    def __init__(
        self,
        storage: Storage,
        clock: MovableClock,
        policy: dict[str, str] | None = None,
        notifying: Notifying = Notifying(),  # noqa: B008 (immutable)
    ) -> None:
        self.storage = FaultyStorage(storage)
        self.clock = clock
        self.operations = Operations(
            self.storage,
            Limits(),
            clock,
            keys=KEYS,
            authorization=Authorization(policy or {}),
            notifying=notifying,
        )

    async def put(
        self,
        count: int = 1,
        timeout_s: int = 60,
        *,
        name: str = NAME,
        maker: Identity = MAKER,
        **terms: Any,
    ) -> Made:
        return await self.operations.signals.put(maker, name, Terms(count, timeout_s, **terms))

    async def send(
        self, signal: Signal, *, name: str = NAME, sender: Identity = MAKER
    ) -> Receipt:
        return await self.operations.signalling.send(sender, name, signal)

    async def send_all(self, *sent: Signal) -> Sequence[Receipt | NuskuError]:
        """Send signals at the same time; return what came of each."""
        calls = [self.send(signal) for signal in sent]
        found = await asyncio.gather(*calls, return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, NuskuError):
                raise one
        return found  # type: ignore[return-value]

    async def show(
        self, *, name: str = NAME, wait_s: float = 0, marker: str = "", limit: int = 100
    ) -> Shown:
        query, patience = DataQuery(marker, limit), Patience(wait_s)
        return await self.operations.signals.show(PROJECT, name, query, patience)

    async def handle(self, name: str = NAME) -> Handle:
        return (await self.show(name=name)).handle

    async def said(self, name: str = NAME) -> dict[str, Any]:
        """Return the data that were said, by id."""
        by_id = (await self.show(name=name)).said.by_id
        return {sender: one.data for sender, one in by_id.items()}

    async def names(
        self,
        *,
        state: State | None = None,
        prefix: str = "",
        limit: int = 100,
        marker: str = "",
        grant: Grant | None = None,
    ) -> tuple[list[str], str | None]:
        query = SignalQuery(marker, limit, prefix, state)
        page = await self.operations.signals.list(PROJECT, query, grant=grant)
        return [kept.name for kept in page.found], page.marker

    async def attend(self) -> int:
        """Do what is due about handles, like the agenda; return how much there was."""
        taken = await self.storage.records.take(
            limit=100, lease_ms=LEASE_MS, now_ms=self.clock.now_ms()
        )
        due = [one for one in taken if one.record.kind is RecordKind.SIGNAL]
        for one in due:
            await self.endings.attend(one)
        return len(due)

    async def attend_all(self) -> None:
        """Do what is due until nothing is."""
        while await self.attend():
            pass

    @property
    def endings(self) -> Endings:
        operations = self.operations
        handles = operations.signals._handles  # noqa: SLF001
        return Endings(
            self.clock,
            handles=handles,
            messages=operations.messages,
            outbox=operations.notices,
        )

    async def notices(self, name: str = NAME) -> list[Delivery]:
        """Return what is on its way to webhooks, or has been."""
        records = await self.storage.records.list(
            PROJECT,
            RecordKind.DELIVERY,
            name,
            prefix="",
            marker="",
            limit=100,
            now_ms=self.clock.now_ms(),
        )
        return [deliveries.read(record) for record in records]

    async def data_records(self, name: str = NAME) -> Sequence[Record]:
        """Return all that senders said to handles of that name, as it is stored."""
        return await self.storage.records.list(
            PROJECT,
            RecordKind.SIGNAL_DATA,
            name,
            prefix="",
            marker="",
            limit=1000,
            now_ms=self.clock.now_ms(),
        )


def url_identity(made: Made) -> Identity:
    """Return whom the URL of a handle makes of its bearer."""
    assert made.url is not None
    rules = frozenset({"signals:signal"})
    grant = Grant((made.url.id,), rules, (NAME,), made.handle.url_expires_ms, vouched=True)
    return Identity(PROJECT, grant=grant)


TO_QUEUE = Target("done")
TO_WEBHOOK = Target(webhook="https://example.org/hook")
