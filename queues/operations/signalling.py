"""What a signal does to the handle that it is sent to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from queues import signals
from queues.clock import Clock
from queues.errors import SignalLate, SignalNotFound, SignatureRefused, StorageUnavailable
from queues.identity import Grant, Identity
from queues.operations.combining import Combining
from queues.operations.contributions import Contributions
from queues.operations.credentials import CredentialRegister
from queues.operations.handles import Handles, Kept
from queues.signals import Handle, Outcome, Signal, Status

_ATTEMPTS = 100


class Receipt(NamedTuple):
    """What became of a signal: the id that it counts under, and the handle after it."""

    id: str | None
    outcome: Outcome
    handle: Handle


class _Sent:
    """A signal on its way; `url` is the signed URL that it came by, if it did.

    `signal` is what was stored of it for the `incarnation` of a handle, or what was `said`.
    """

    def __init__(self, said: Signal, url: Grant | None) -> None:
        self.said = self.signal = said
        self.url = url
        self.incarnation: str | None = None


class Signalling:
    """Takes signals, each at most once.

    What is acknowledged has been counted, as durably as a message would be. Those that come
    at the same time in one process are counted together.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        handles: Handles,
        contributions: Contributions,
        register: CredentialRegister,
    ) -> None:
        """Change `handles`; `register` knows which URLs went with the token of their maker."""
        self._clock = clock
        self._handles = handles
        self._contributions = contributions
        self._register = register
        self._combining = Combining(self._take)

    async def send(self, sender: Identity, name: str, signal: Signal) -> Receipt:
        """Let a signal have its effect, or find that it had it before.

        Raises: SignalNotFound; SignalLate when the wait has ended, and nothing changes;
        SignatureRefused for the URL of another handle that had this name.
        """
        grant = sender.grant
        url = grant if grant is not None and grant.vouched else None
        sent = _Sent(signal, url)
        receipt = await self._combining.ask((sender.project, name), sent)
        if receipt is None:
            raise _absent(name, sent)
        if receipt.outcome is Outcome.LATE:
            raise SignalLate(f"The wait for {name} has ended already: {receipt.handle.state}.")
        return receipt

    async def _take(
        self, key: tuple[str, str], sent: Sequence[_Sent]
    ) -> Sequence[Receipt | None]:
        """Let signals of one handle have their effect in one change; None if not for it."""
        project, name = key
        for _ in range(_ATTEMPTS):
            kept = await self._handles.find(project, name)
            if kept is None:
                return [None] * len(sent)
            admitted = await self._admitted(kept.handle, sent)
            await self._keep(project, kept, admitted)
            handle, receipts = self._counted(kept.handle, admitted)
            if handle is kept.handle or await self._handles.change(project, kept, handle):
                return [receipts.get(one) for one in sent]
        raise StorageUnavailable("the signal changes faster than it can be counted")

    async def _admitted(self, handle: Handle, sent: Sequence[_Sent]) -> Sequence[_Sent]:
        """Return those who came by the URL of this very handle, or by none."""
        urls = {one.url.id for one in sent if one.url is not None} & {handle.incarnation}
        # SECURITY: a URL is not remembered; it ends with the token that it was made with.
        if urls and handle.lineage and await self._register.is_revoked(handle.lineage):
            urls = set()
        return [one for one in sent if one.url is None or one.url.id in urls]

    async def _keep(self, project: str, kept: Kept, sent: Sequence[_Sent]) -> None:
        """Store what is news; whoever says nothing new, or too late, leaves nothing behind."""
        taken = set(kept.handle.senders)
        await asyncio.gather(
            *(
                self._keep_one(project, kept, one, taken)
                for one in sent
                if one.incarnation != kept.handle.incarnation
                and one.said.status is not Status.IN_PROGRESS
                and signals.standing(kept.handle, one.said) is Outcome.ACCEPTED
            )
        )

    async def _keep_one(self, project: str, kept: Kept, one: _Sent, taken: set[str]) -> None:
        if one.said.id is None:
            signal = await self._contributions.keep_new(project, kept, one.said, taken)
        else:
            signal = await self._contributions.keep(project, kept, one.said)
        one.signal, one.incarnation = signal, kept.handle.incarnation

    def _counted(
        self, handle: Handle, sent: Sequence[_Sent]
    ) -> tuple[Handle, dict[_Sent, Receipt]]:
        """Return what becomes of a handle by these signals, one after the other."""
        now_ms = self._clock.now_ms()
        handle = signals.settled(handle, now_ms)
        receipts = {}
        for one in sent:
            outcome = signals.standing(handle, one.signal)
            if outcome is Outcome.ACCEPTED:
                handle = signals.received(handle, one.signal, now_ms)
            receipts[one] = Receipt(one.signal.id, outcome, handle)
        return handle, receipts


def _absent(name: str, sent: _Sent) -> SignalNotFound | SignatureRefused:
    if sent.url is not None:
        return SignatureRefused("There is nothing at this address.")
    return SignalNotFound(f"There is no signal {name}.")
