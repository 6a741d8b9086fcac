"""Recognising the repetition of a request by the key that the client gave it."""

from __future__ import annotations

import hashlib

from queues.limits import Limits
from queues.model import Idempotency


def remembered(key: str | None, request: object, limits: Limits) -> Idempotency | None:
    """Return what a driver needs to recognise a repeat of `request`, or None without a key.

    `request` is made of tuples, lists, strings, bytes and numbers; its `repr` is the same in
    every process.
    """
    if key is None:
        return None
    fingerprint = hashlib.blake2b(repr(request).encode(), digest_size=16).hexdigest()
    return Idempotency(key, fingerprint, limits.idempotency_window_s * 1000)
