"""Every maximum, minimum and default of the service, and the checks against them.

The defaults are Zaqar's, so that its clients find what they expect. Checks raise
`InvalidRequest` with a text that names the field and what was expected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from queues.errors import InvalidRequest

MIN_MESSAGE_TTL_S = 60
MIN_CLAIM_TTL_S = 60
MIN_SUBSCRIPTION_TTL_S = 60
MIN_CLAIM_GRACE_S = 60
MAX_QUEUE_NAME_CHARS = 64
MAX_PROJECT_CHARS = 256
MAX_IDEMPOTENCY_KEY_CHARS = 255
DEFAULT_PAGE = 10

#: A JSON document nested deeper is refused: every reader must be able to parse it back.
MAX_NESTING = 128

_QUEUE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server allows. Each field is a setting of the same name."""

    default_message_ttl_s: int = 3600
    max_message_ttl_s: int = 1_209_600
    default_message_delay_s: int = 0
    max_message_delay_s: int = 900
    default_claim_ttl_s: int = 300
    default_claim_grace_s: int = 60
    max_claim_ttl_s: int = 43_200
    max_claim_grace_s: int = 43_200
    max_queues_per_page: int = 20
    max_messages_per_page: int = 20
    max_messages_per_claim_or_pop: int = 20
    max_queue_metadata_bytes: int = 65_536
    max_messages_post_bytes: int = 262_144
    default_subscription_ttl_s: int = 3600
    max_subscriptions_per_page: int = 20
    notification_retention_s: int = 345_600
    idempotency_window_s: int = 86_400
    default_token_ttl_s: int = 86_400
    max_token_ttl_s: int = 31_536_000
    max_credentials_per_page: int = 100
    max_signal_timeout_s: int = 31_536_000
    max_signal_bytes: int = 262_144
    max_signals_per_page: int = 100
    signal_retention_s: int = 604_800
    max_wait_s: int = 60


def check_queue_name(field: str, name: str) -> str:
    """Return `name`, of a queue or a cursor, if it is 1 to 64 of `A-Za-z0-9_.-`."""
    if not _QUEUE_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{field} must be 1 to {MAX_QUEUE_NAME_CHARS} characters out of "
            "letters, digits, underscores, hyphens and dots."
        )
    return name


def check_range(field: str, value: int, low: int, high: int) -> int:
    """Return `value` if it lies between `low` and `high`, both included."""
    if not low <= value <= high:
        raise InvalidRequest(f"{field} must be between {low} and {high}, but is {value}.")
    return value


def check_count(field: str, count: int, high: int) -> int:
    """Return `count`, the number of things asked for at once, if it is 1 to `high`."""
    return check_range(field, count, 1, high)


def check_message_ttl(field: str, ttl_s: int, limits: Limits) -> int:
    """Return `ttl_s` if a message may live that long."""
    return check_range(field, ttl_s, MIN_MESSAGE_TTL_S, limits.max_message_ttl_s)


def check_message_delay(field: str, delay_s: int, limits: Limits) -> int:
    """Return `delay_s` if a message may be held back that long."""
    return check_range(field, delay_s, 0, limits.max_message_delay_s)


def check_claim_ttl(ttl_s: int, limits: Limits) -> int:
    """Return `ttl_s` if a claim may last that long."""
    return check_range("ttl", ttl_s, MIN_CLAIM_TTL_S, limits.max_claim_ttl_s)


def check_claim_grace(grace_s: int, limits: Limits) -> int:
    """Return `grace_s` if messages may outlive their claim that long."""
    return check_range("grace", grace_s, MIN_CLAIM_GRACE_S, limits.max_claim_grace_s)
