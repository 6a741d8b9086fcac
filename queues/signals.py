"""Wait handles: what a signal says, and what becomes of the handle that it is sent to.

    in_progress ──as many successes as `count`───────> success
                ──one failure────────────────────────> failure
                ──the deadline, or no heartbeat──────> timeout

Nothing here reads a clock or a store: `queues/operations/signals.py` keeps the handles. A
handle that has ended never changes its state again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from queues import subscribers
from queues.errors import InvalidRequest
from queues.limits import Limits, check_queue_name, check_range

MAX_COUNT = 1000
#: How much of the reason of a failure the handle shows; the data of its sender has all of it.
_MAX_REASON_CHARS = 1000
_MAX_PAUSE_S = 3600


class State(StrEnum):
    """Where a handle has got to. Stored, so the words never change."""

    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"


class Status(StrEnum):
    """What a sender reports. Stored, so the words never change."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    IN_PROGRESS = "IN_PROGRESS"


class Outcome(StrEnum):
    """What a signal did."""

    #: It was counted, ended the wait, or was a sign of life.
    ACCEPTED = "accepted"
    #: Its sender had said so before.
    REPEATED = "repeated"
    #: The wait had ended.
    LATE = "late"


class Signal(NamedTuple):
    """What a sender says. Without an `id` it gets its number; no `reason` has a default."""

    status: Status = Status.SUCCESS
    reason: str | None = None
    id: str | None = None
    data: Any = None


class Target(NamedTuple):
    """Where to tell of the end: a queue, by its name, or a webhook, by its URL."""

    queue: str | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What somebody waits for. `data` is theirs; it is shown to whoever waits."""

    count: int
    timeout_s: int
    heartbeat_s: int | None = None
    data: Any = None
    notify: Target | None = None


class Progress(NamedTuple):
    """The last sign of life."""

    id: str | None
    reason: str | None
    data: Any
    at_ms: int


class Contribution(NamedTuple):
    """What one sender said and when, as it is kept."""

    status: Status
    reason: str | None
    data: Any
    at_ms: int


@dataclass(frozen=True, slots=True)
class Handle:
    """A wait as it stands; times in ms since the epoch.

    `incarnation` tells it from others of its name, before and after. `senders` are the ids
    that count, in the order in which they came, and `failed_by` is whose failure ended the
    wait. `lineage` are the credentials of who made it, `url_expires_ms` when its URL ends.
    `secret` signs what a webhook is told. `told` says that the target, if there is one,
    knows of the end; `attempts` how often telling it has failed.
    """

    incarnation: str
    terms: Terms
    created_ms: int
    alive_ms: int
    lineage: tuple[str, ...] = ()
    url_expires_ms: int = 0
    state: State = State.IN_PROGRESS
    reason: str | None = None
    senders: tuple[str, ...] = ()
    failed_by: str | None = None
    ended_ms: int | None = None
    secret: str | None = None
    progress: Progress | None = None
    told: bool = False
    attempts: int = 0

    @property
    def deadline_ms(self) -> int:
        """When the wait ends if nothing else ends it."""
        return self.created_ms + self.terms.timeout_s * 1000

    @property
    def silent_ms(self) -> int | None:
        """When the wait ends if nobody gives a sign of life; None if none is needed."""
        if self.terms.heartbeat_s is None:
            return None
        return self.alive_ms + self.terms.heartbeat_s * 1000

    @property
    def ends_ms(self) -> int:
        """When the wait ends if nobody sends anything any more."""
        silent_ms = self.silent_ms
        return self.deadline_ms if silent_ms is None else min(self.deadline_ms, silent_ms)

    @property
    def has_ended(self) -> bool:
        """Say whether the state is final."""
        return self.state is not State.IN_PROGRESS

    @property
    def is_to_be_told(self) -> bool:
        """Say whether a queue or a webhook waits to be told of the end."""
        return self.has_ended and self.terms.notify is not None and not self.told

    @property
    def contributors(self) -> tuple[str, ...]:
        """The ids whose data belong to the handle."""
        if self.failed_by is None or self.failed_by in self.senders:
            return self.senders
        return (*self.senders, self.failed_by)


def check(terms: Terms, limits: Limits) -> None:
    """Refuse what nobody can wait for.

    Raises: InvalidRequest naming the field.
    """
    check_range("count", terms.count, 1, MAX_COUNT)
    check_range("timeout", terms.timeout_s, 1, limits.max_signal_timeout_s)
    if terms.heartbeat_s is not None:
        check_range("heartbeat", terms.heartbeat_s, 1, terms.timeout_s)
    if terms.notify is not None:
        _check_target(terms.notify)


def _check_target(target: Target) -> None:
    if (target.queue is None) == (target.webhook is None):
        raise InvalidRequest("notify must have either a queue or a webhook.")
    if target.queue is not None:
        check_queue_name("notify.queue", target.queue)
    if target.webhook is not None:
        _check_webhook(target.webhook)


def _check_webhook(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise InvalidRequest("notify.webhook must be an http or https URL.")
    try:
        subscribers.parse(url)
    except InvalidRequest as ex:
        raise InvalidRequest(f"notify.webhook: {ex}") from ex


def settled(handle: Handle, now_ms: int) -> Handle:
    """Return the handle as it stands at `now_ms`: its time may be over."""
    if handle.has_ended or now_ms < handle.ends_ms:
        return handle
    terms, so_far = handle.terms, _so_far(handle)
    if handle.ends_ms == handle.deadline_ms:
        reason = f"The deadline passed after {terms.timeout_s} s; {so_far}"
    else:
        reason = f"There was no heartbeat for {terms.heartbeat_s} s; {so_far}"
    return _ended(handle, State.TIMEOUT, reason, handle.ends_ms)


def standing(handle: Handle, signal: Signal) -> Outcome:
    """Say what a signal can still do, before its data are stored.

    What a sender said before is repeated as often as it likes, also when all is over. But a
    failure after a success is news: the wait ends with it.
    """
    if signal.status is Status.SUCCESS and signal.id in handle.senders:
        return Outcome.REPEATED
    failed_by = handle.failed_by
    if signal.status is Status.FAILURE and failed_by is not None and signal.id == failed_by:
        return Outcome.REPEATED
    return Outcome.LATE if handle.has_ended else Outcome.ACCEPTED


def received(handle: Handle, signal: Signal, now_ms: int) -> Handle:
    """Return what becomes of a handle in progress by a signal that has an id.

    The same success again changes nothing, so it never counts twice.
    """
    alive = replace(handle, alive_ms=max(handle.alive_ms, now_ms))
    if signal.status is Status.IN_PROGRESS:
        progress = Progress(signal.id, signal.reason, signal.data, now_ms)
        return replace(alive, progress=progress)
    assert signal.id is not None, "what counts has an id"  # noqa: S101
    if signal.status is Status.FAILURE:
        reason = signal.reason or f"{signal.id} reported a failure."
        failed = replace(alive, failed_by=signal.id)
        return _ended(failed, State.FAILURE, reason[:_MAX_REASON_CHARS], now_ms)
    if signal.id in handle.senders:
        return handle
    counted = replace(alive, senders=(*handle.senders, signal.id))
    if len(counted.senders) < handle.terms.count:
        return counted
    return _ended(counted, State.SUCCESS, _so_far(counted), now_ms)


def _so_far(handle: Handle) -> str:
    return f"{len(handle.senders)} of {handle.terms.count} signals were received."


def _ended(handle: Handle, state: State, reason: str, now_ms: int) -> Handle:
    return replace(handle, state=state, reason=reason, ended_ms=now_ms)


def summary(name: str, handle: Handle) -> dict[str, Any]:
    """Return what a target is told of the end."""
    return {
        "signal": name,
        "state": handle.state,
        "reason": handle.reason,
        "count": handle.terms.count,
        "received": len(handle.senders),
        "data": handle.terms.data,
    }


def due_ms(handle: Handle, now_ms: int) -> int | None:
    """Return when something is to be done about the handle by itself; None for never."""
    if not handle.has_ended:
        return handle.ends_ms
    if not handle.is_to_be_told:
        return None
    pause_s = min(2**handle.attempts, _MAX_PAUSE_S) if handle.attempts else 0
    return now_ms + pause_s * 1000
