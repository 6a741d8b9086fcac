"""Makes model objects for tests, with defaults for whatever a test does not care about."""

from __future__ import annotations

import hashlib

from queues.model import DeadLetterPolicy, Idempotency, Media, NewMessage

HOUR_S = 3600


def new_message(
    body: bytes | str = b'"hello"',
    *,
    media: Media = Media.JSON,
    ttl_s: int = HOUR_S,
    delay_s: float = 0,
    client_id: str = "3381af92-2b9e-11e3-b191-71861300734c",
) -> NewMessage:
    """Return a message to post; it lives an hour and has no delay."""
    raw = body.encode() if isinstance(body, str) else body
    return NewMessage(raw, media, ttl_s, round(delay_s * 1000), client_id)


def new_messages(count: int, **fields: object) -> list[NewMessage]:
    """Return messages with the bodies 0, 1, 2, …"""
    return [new_message(str(n), **fields) for n in range(count)]  # type: ignore[arg-type]


def idempotency(
    key: str = "key-1", request: str = "request", *, window_s: float = HOUR_S
) -> Idempotency:
    """Return a key for a write; `request` stands for what the client asked for."""
    fingerprint = hashlib.sha256(request.encode()).hexdigest()
    return Idempotency(key, fingerprint, round(window_s * 1000))


def dead_letters(
    queue: str = "dead", *, max_claims: int = 1, ttl_s: int | None = None, version: int = 77
) -> DeadLetterPolicy:
    """Return a policy that moves a message after its first claim."""
    return DeadLetterPolicy(queue, max_claims, ttl_s, version)
