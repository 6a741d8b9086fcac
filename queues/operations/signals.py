"""What may happen to wait handles: make, show, wait for, list and cancel them.

A handle is one record, changed by compare-and-swap, so a process that is killed leaves it as
it was before a step or after it. How signals change it: `signalling.py`. What happens by
itself when its time is over: `endings.py`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from queues import signals, webhook_signatures
from queues.authorization import Authorization
from queues.clock import Clock
from queues.errors import InvalidRequest, SignalExists, SignalNotFound, StorageUnavailable
from queues.identity import Grant, Identity
from queues.limits import Limits, check_count, check_queue_name
from queues.model import Topic, TopicKind
from queues.operations.contributions import Contributions, Said
from queues.operations.handles import Handles, Kept
from queues.operations.polls import Patience
from queues.operations.shares import Share, ShareOperations
from queues.operations.waiting import WaitingRoom
from queues.signals import Handle, State, Target, Terms

_ATTEMPTS = 100
#: A filtered listing reads at most this many handles for one page.
_READ_PER_LISTING = 1000
_READ_AT_ONCE = 100


class SignalQuery(NamedTuple):
    """What a listing of handles asks for; `marker` is a name or empty."""

    marker: str
    limit: int
    prefix: str
    state: State | None


class DataQuery(NamedTuple):
    """Which data of a handle are asked for; `marker` is an id or empty."""

    marker: str
    limit: int


class SignalPage(NamedTuple):
    """A page of handles by name; `marker` is None when nothing can follow."""

    found: Sequence[Kept]
    marker: str | None


class Made(NamedTuple):
    """A handle with the URL for its senders, if there is one, and whether it is new."""

    handle: Handle
    url: Share | None
    is_new: bool


class Shown(NamedTuple):
    """A handle, and a page of what was said to it."""

    handle: Handle
    said: Said


class SignalOperations:
    """Make, show, wait for, list and cancel wait handles."""

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        *,
        handles: Handles,
        contributions: Contributions,
        authorization: Authorization,
        shares: ShareOperations,
        room: WaitingRoom,
        asks_receivers: bool,
    ) -> None:
        """Keep handles in `handles`; `shares` signs their URLs, and waiters are in `room`.

        `asks_receivers` says that nobody is notified over HTTP who did not agree to it.
        """
        self._limits = limits
        self._clock = clock
        self._handles = handles
        self._contributions = contributions
        self._authorization = authorization
        self._shares = shares
        self._room = room
        self._asks_receivers = asks_receivers

    async def put(self, maker: Identity, name: str, terms: Terms) -> Made:
        """Make a handle, or find the one that was made of the same terms.

        Its URL allows to send signals to this handle and nothing else; it ends with the
        handle, and with the credential that it was made with. Whoever comes with a credential
        gets no URL that would not end with it: none of a handle that was made without it.

        Raises: InvalidRequest; Forbidden for what the maker may not hand on; SignalExists.
        """
        check_queue_name("The name of the signal", name)
        signals.check(terms, self._limits)
        self._authorization.check("signals:signal", maker, name)
        if terms.notify is not None:
            self._check_target(maker, name, terms.notify)
        for _ in range(_ATTEMPTS):
            found = await self._handles.find(maker.project, name)
            if found is None:
                handle = self._new(maker, terms)
                if not await self._handles.create(maker.project, name, handle):
                    continue
            elif found.handle.terms != terms:
                raise SignalExists(f"There is a signal {name} already, made of other terms.")
            else:
                handle = found.handle
            return Made(handle, self._url(maker, name, handle), is_new=found is None)
        raise StorageUnavailable("the signal is made and cancelled faster than it can be read")

    def _check_target(self, maker: Identity, name: str, target: Target) -> None:
        if target.queue is not None:
            self._authorization.check("messages:create", maker, target.queue)
            return
        self._authorization.check("subscription:create", maker, name)
        if self._asks_receivers:
            # SECURITY: or anybody could be called by way of a handle without being asked.
            raise InvalidRequest(
                "notify.webhook: this service asks receivers before it notifies them; notify "
                "a queue, and subscribe the receiver to it."
            )

    def _new(self, maker: Identity, terms: Terms) -> Handle:
        now_ms = self._clock.now_ms()
        handle = Handle(secrets.token_hex(16), terms, now_ms, now_ms, maker.lineage)
        if terms.notify is not None and terms.notify.webhook is not None:
            handle = replace(handle, secret=webhook_signatures.new_secret())
        expires_ms = self._handles.expires_ms(handle)
        if maker.grant is not None:
            expires_ms = min(expires_ms, maker.grant.expires_ms)
        return replace(handle, url_expires_ms=expires_ms)

    def _url(self, maker: Identity, name: str, handle: Handle) -> Share | None:
        # SECURITY: the URL of somebody else's handle would outlive the credential.
        if maker.grant is not None and maker.grant.id not in handle.lineage:
            return None
        return self._shares.sign_signal(
            maker.project, name, handle.incarnation, handle.url_expires_ms
        )

    async def show(
        self, project: str, name: str, query: DataQuery, patience: Patience | None = None
    ) -> Shown:
        """Return the handle as it is, or with `patience` once it has ended or that is over.

        Raises: InvalidRequest for a limit out of range; SignalNotFound, also for those who
        wait when it is cancelled.
        """
        check_count("limit", query.limit, self._limits.max_signals_per_page)
        kept = await self._found(project, name)
        if patience is not None and not kept.handle.has_ended:
            kept = await self._awaited(project, name, patience.wait_s)
        said = await self._contributions.page(
            project, kept, marker=query.marker, limit=query.limit
        )
        return Shown(kept.handle, said)

    async def _awaited(self, project: str, name: str, wait_s: float) -> Kept:
        """Return the handle once it has ended, or as it is when the waiting is over."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        async with self._room.watching(Topic(project, TopicKind.SIGNAL, name)) as bell:
            while True:
                kept = await self._found(project, name)
                left_s = until_s - loop.time()
                if kept.handle.has_ended or left_s <= 0 or self._room.is_closed:
                    return kept
                ends_s = (kept.handle.ends_ms - self._clock.now_ms()) / 1000
                await bell.heard(max(0.0, min(left_s, ends_s)))

    async def _found(self, project: str, name: str) -> Kept:
        kept = await self._handles.find(project, name)
        if kept is None:
            raise SignalNotFound(f"There is no signal {name}.")
        return kept

    async def list(
        self, project: str, query: SignalQuery, *, grant: Grant | None
    ) -> SignalPage:
        """Return a page of handles by name; a `grant` shows those that it covers.

        The page may be short, even empty, and still have a marker: a filter that fits few
        handles reads a bounded number of them at a time.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", query.limit, self._limits.max_signals_per_page)
        matching: list[Kept] = []
        marker, read = query.marker, 0
        step = _READ_AT_ONCE if query.state or grant else query.limit
        while read < _READ_PER_LISTING:
            batch = await self._handles.page(
                project, prefix=query.prefix, marker=marker, limit=step
            )
            for record in batch:
                marker = record.key
                if grant is None or grant.covers(marker):
                    kept = await self._handles.current(project, record)
                    if kept and query.state in (None, kept.handle.state):
                        matching.append(kept)
                if len(matching) == query.limit:
                    return SignalPage(matching, marker)
            if len(batch) < step:
                return SignalPage(matching, None)
            read += step
        return SignalPage(matching, marker)

    async def cancel(self, project: str, name: str) -> bool:
        """Forget a handle and what was said to it, and say whether there was one.

        Whoever waits for it gets `SignalNotFound`, and its URL opens nothing any more.
        """
        kept = await self._handles.find(project, name)
        if kept is None:
            return False
        await self._handles.remove(project, name)
        await self._contributions.remove(project, kept)
        return True
