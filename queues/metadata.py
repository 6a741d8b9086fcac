"""Queue metadata: the reserved attributes, their checks, and the policy that they make.

Names that start with an underscore and stand in `RESERVED` steer the service; everything
else belongs to the user and is kept as it is. Null means unset. Source of names, ranges and
the values shown when unset: the Zaqar v2 API, with the wrong types refused that Zaqar
answers with a 500.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from queues import retries
from queues.errors import InvalidRequest
from queues.limits import (
    Limits,
    check_message_delay,
    check_message_ttl,
    check_queue_name,
    check_range,
)


class QueuePolicy(NamedTuple):
    """What the metadata of a queue decides. `version` is None while the queue is absent."""

    version: int | None
    message_ttl_s: int
    message_delay_s: int
    max_post_bytes: int
    dead_letter_queue: str | None
    dead_letter_ttl_s: int | None
    max_claim_count: int | None
    seal: bool
    #: Whether posts are to be notified of.
    subscribed: bool


def decode(stored: bytes) -> dict[str, Any]:
    """Return the metadata that `encode` made bytes of."""
    metadata: dict[str, Any] = json.loads(stored)
    return metadata


def encode(metadata: Mapping[str, Any], limits: Limits) -> bytes:
    """Return the metadata as stored.

    Raises: InvalidRequest when it is larger than the limit, however it grew.
    """
    stored = json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()
    if len(stored) > limits.max_queue_metadata_bytes:
        raise InvalidRequest(
            f"Queue metadata must not exceed {limits.max_queue_metadata_bytes} bytes."
        )
    return stored


def reserved_defaults(limits: Limits) -> dict[str, Any]:
    """Return the attributes that a queue always shows, with their values when unset."""
    return {
        "_max_messages_post_size": limits.max_messages_post_bytes,
        "_default_message_ttl": limits.default_message_ttl_s,
        "_default_message_delay": limits.default_message_delay_s,
        "_dead_letter_queue": None,
        "_dead_letter_queue_messages_ttl": None,
        "_max_claim_count": None,
        "_enable_encrypt_messages": False,
    }


def with_defaults(metadata: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Return the metadata as shown to clients: unset and falsy attributes filled in."""
    shown = dict(metadata)
    for name, default in reserved_defaults(limits).items():
        if not shown.get(name):
            shown[name] = default
    return shown


def policy(
    metadata: Mapping[str, Any],
    version: int | None,
    limits: Limits,
    *,
    subscribed: bool = False,
) -> QueuePolicy:
    """Return what checked metadata, and subscriptions, decide for posts and claims."""
    cap = metadata.get("_max_messages_post_size") or limits.max_messages_post_bytes
    return QueuePolicy(
        version=version,
        message_ttl_s=metadata.get("_default_message_ttl") or limits.default_message_ttl_s,
        message_delay_s=metadata.get("_default_message_delay")
        or limits.default_message_delay_s,
        max_post_bytes=min(cap, limits.max_messages_post_bytes),
        dead_letter_queue=metadata.get("_dead_letter_queue"),
        dead_letter_ttl_s=metadata.get("_dead_letter_queue_messages_ttl"),
        max_claim_count=metadata.get("_max_claim_count") or None,
        seal=bool(metadata.get("_enable_encrypt_messages")),
        subscribed=subscribed,
    )


def check(
    queue: str, metadata: Mapping[str, Any], limits: Limits, *, encrypts: bool = False
) -> None:
    """Refuse reserved attributes of `queue` that have a wrong type or value.

    `encrypts` says whether the store encrypts messages that ask for it.

    Raises: InvalidRequest naming the attribute and what was expected.
    """
    for name, check_value in _CHECKS.items():
        if metadata.get(name) is not None:
            check_value(name, metadata[name], limits)
    if metadata.get("_dead_letter_queue") == queue:
        raise InvalidRequest("_dead_letter_queue must be another queue than this one.")
    if metadata.get("_enable_encrypt_messages") and not encrypts:
        # SECURITY: storing in clear what the user asked to have encrypted would be worse.
        raise InvalidRequest(
            "_enable_encrypt_messages: this server does not encrypt messages; "
            "the file in its setting keys_file has no key for that."
        )


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name} must be an integer.")
    return value


def _check_post_size(name: str, value: object, limits: Limits) -> None:
    check_range(name, _integer(name, value), 1, limits.max_messages_post_bytes)


def _check_ttl(name: str, value: object, limits: Limits) -> None:
    check_message_ttl(name, _integer(name, value), limits)


def _check_delay(name: str, value: object, limits: Limits) -> None:
    check_message_delay(name, _integer(name, value), limits)


def _check_dead_letter_queue(name: str, value: object, limits: Limits) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be the name of a queue.")
    check_queue_name(name, value)


def _check_max_claim_count(name: str, value: object, limits: Limits) -> None:
    # Zero is Zaqar's way to say "off".
    check_range(name, _integer(name, value), 0, 2**31 - 1)


def _check_encryption(name: str, value: object, limits: Limits) -> None:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.")


def _check_flavor(name: str, value: object, limits: Limits) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a string.")


def _check_retry_policy(name: str, value: object, limits: Limits) -> None:
    retries.check(name, value)


_CHECKS: dict[str, Callable[[str, object, Limits], None]] = {
    "_max_messages_post_size": _check_post_size,
    "_default_message_ttl": _check_ttl,
    "_default_message_delay": _check_delay,
    "_dead_letter_queue": _check_dead_letter_queue,
    "_dead_letter_queue_messages_ttl": _check_ttl,
    "_max_claim_count": _check_max_claim_count,
    "_enable_encrypt_messages": _check_encryption,
    "_flavor": _check_flavor,
    "_retry_policy": _check_retry_policy,
}
