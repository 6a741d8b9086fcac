"""Subscriptions: what they are made of, how they are kept, and what options they have.

Options are Zaqar's `post_data`, `post_headers`, `from`, `subject` and `_retry_policy`, ours
begin with an underscore, too, and everything else is kept and means nothing:

    _secrets    list of `whsec_…`; signs notifications, and is never shown
    _ordered    true: one at a time, in the order of the queue
    _format     "zaqar" (default), "cloudevents" or "cloudevents-binary"
    _filter     which messages to hear of, see `queues.filters`
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from queues import filters, retries, webhook_signatures
from queues.errors import InvalidRequest
from queues.limits import MIN_SUBSCRIPTION_TTL_S, check_range
from queues.model import Record, RecordKind
from queues.records import legible
from queues.subscribers import check_line

#: The last moment of the year 9999, which is the end of many calendars.
END_OF_TIME_S = 253_402_300_799

#: What a caller may not choose: Zaqar takes any trust for the caller's own.
_NEVER_GIVEN = ("trust_id",)
_SECRETS = "_secrets"

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
#: SECURITY: headers that would change where a request ends, where it goes, or who sent it.
_RESERVED_HEADERS = re.compile(
    r"host|content-length|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect"
    r"|proxy-.*|webhook-.*|ce-.*"
)
_MAX_HEADERS = 32

#: With its quotes, what the notification takes the place of in `post_data`.
PLACEHOLDER = '"$zaqar_message$"'
#: SECURITY: or a few bytes for each would make gigabytes of one message.
_MAX_PLACEHOLDERS = 4


class Format(StrEnum):
    """How a notification looks."""

    ZAQAR = "zaqar"
    STRUCTURED = "cloudevents"
    BINARY = "cloudevents-binary"


class State(StrEnum):
    """What is known of the subscriber's wish. Stored, so the words never change."""

    #: Nobody has said anything.
    NEW = "new"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    #: The receiver answered 410.
    GONE = "gone"


class Subscription(NamedTuple):
    """A subscription as it stands.

    `options` are those of the caller without secrets. `lineage` are the credentials it was
    made with: it ends when one of them is revoked. `trust_id` is of a trust of ours.
    """

    id: str
    subscriber: str
    ttl_s: int
    started_ms: int
    options: Mapping[str, Any]
    state: State
    secrets: tuple[str, ...]
    lineage: tuple[str, ...]
    trust_id: str | None = None

    @property
    def expires_ms(self) -> int:
        """The end of the subscription."""
        return self.started_ms + self.ttl_s * 1000

    @property
    def is_ordered(self) -> bool:
        """Whether notifications are sent one at a time, in the order of the queue."""
        return bool(self.options.get("_ordered"))

    @property
    def format(self) -> Format:
        """How notifications look."""
        return Format(self.options.get("_format") or Format.ZAQAR)

    def is_active(self, *, confirmation: bool) -> bool:
        """Say whether it is notified; `confirmation`: only after the subscriber agreed."""
        return self.state is State.CONFIRMED or (self.state is State.NEW and not confirmation)


class Wanted(NamedTuple):
    """What a client wants a subscription to be; None takes the default, or changes nothing."""

    subscriber: str | None
    ttl_s: int | None
    options: Mapping[str, Any] | None


def changed(
    before: Subscription, wanted: Wanted, lineage: Sequence[str], now_ms: int
) -> Subscription:
    """Return the subscription as somebody with these credentials wants it at `now_ms`."""
    after = before
    if wanted.options is not None:
        shown, given = split(wanted.options)
        after = after._replace(options=shown, secrets=given or before.secrets)
    if wanted.ttl_s is not None:
        after = after._replace(ttl_s=wanted.ttl_s, started_ms=now_ms)
    subscriber = wanted.subscriber or before.subscriber
    moved = subscriber != before.subscriber
    if moved:
        after = after._replace(subscriber=subscriber, state=State.NEW, trust_id=None)
    if moved or wanted.ttl_s is not None:
        # SECURITY: it goes on, or elsewhere, only as long as who wanted that may want it.
        united = dict.fromkeys((*before.lineage, *lineage))
        after = after._replace(lineage=tuple(united))
    return after


def record(queue: str, subscription: Subscription, *, version: int, seal: bool) -> Record:
    """Return the subscription as it is kept."""
    document = subscription._asdict()
    del document["id"]
    return Record(
        RecordKind.SUBSCRIPTION,
        queue,
        subscription.id,
        json.dumps(document).encode(),
        version,
        expires_ms=subscription.expires_ms,
        seal=seal,
    )


def read(kept: Record) -> Subscription:
    """Return the subscription that `record` made a record of.

    Raises: StorageUnavailable for one that is encrypted, on a server without keys.
    """
    document = json.loads(legible(kept))
    document["state"] = State(document["state"])
    document["secrets"] = tuple(document["secrets"])
    document["lineage"] = tuple(document["lineage"])
    return Subscription(id=kept.key, **document)


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return checked options as they are shown, and the secrets among them."""
    hidden = (*_NEVER_GIVEN, _SECRETS)
    shown = {name: value for name, value in options.items() if name not in hidden}
    return shown, tuple(options.get(_SECRETS) or ())


def check_ttl(ttl_s: int, now_ms: int) -> int:
    """Return the seconds that a subscription may live, to the end of the year 9999.

    Raises: InvalidRequest.
    """
    return check_range("ttl", ttl_s, MIN_SUBSCRIPTION_TTL_S, END_OF_TIME_S - now_ms // 1000)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that mean something and are wrong.

    Raises: InvalidRequest naming the option.
    """
    for name, check in _CHECKS.items():
        if options.get(name) is not None:
            check(f"options.{name}", options[name])
    if options.get("post_data") is not None and options.get("_format") not in (None, "zaqar"):
        raise InvalidRequest("options.post_data: a CloudEvent has no place for it.")


def _check_template(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a string.")
    if value.count(PLACEHOLDER) > _MAX_PLACEHOLDERS:
        raise InvalidRequest(
            f"{name} must not hold the message more than {_MAX_PLACEHOLDERS} times."
        )


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.")


def _check_format(name: str, value: object) -> None:
    if value not in list(Format):
        raise InvalidRequest(f"{name} must be one of {', '.join(Format)}.")


def _check_headers(name: str, value: object) -> None:
    if not isinstance(value, Mapping) or len(value) > _MAX_HEADERS:
        raise InvalidRequest(f"{name} must be an object of at most {_MAX_HEADERS} headers.")
    for header, given in value.items():
        if not _HEADER.fullmatch(header):
            raise InvalidRequest(f"{name}: {header!r} cannot be the name of a header.")
        if _RESERVED_HEADERS.fullmatch(header.lower()):
            raise InvalidRequest(f"{name}: {header} is set by the service.")
        text = check_line(f"{name}.{header}", given)
        if not text.isascii() or text != text.strip():
            raise InvalidRequest(f"{name}.{header} must be ASCII, without blanks around it.")


_CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "post_data": _check_template,
    "post_headers": _check_headers,
    "from": check_line,
    "subject": check_line,
    "_retry_policy": retries.check,
    _SECRETS: webhook_signatures.check,
    "_ordered": _check_flag,
    "_format": _check_format,
    "_filter": filters.check,
}
