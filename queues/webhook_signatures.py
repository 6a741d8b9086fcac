"""Signatures of notifications after the Standard Webhooks specification, version 1.0.0.

What is signed is the id, the time in seconds and the body, joined by full stops; `v1` is
HMAC-SHA256 in base64. One signature for each secret, separated by spaces, so that secrets
can be exchanged without a gap: give the new one before the old one, take the old one away
when all receivers know the new.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as randomness
from collections.abc import Sequence

from queues.errors import InvalidRequest

PREFIX = "whsec_"
MAX_SECRETS = 4

_MIN_BYTES, _MAX_BYTES = 24, 64


def new_secret() -> str:
    """Return a new secret of 32 random bytes."""
    return PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


def check(name: str, value: object) -> None:
    """Refuse what is no list of secrets. SECURITY: the text shows none of them.

    Raises: InvalidRequest naming `name`.
    """
    if not isinstance(value, list) or not 0 < len(value) <= MAX_SECRETS:
        raise InvalidRequest(f"{name} must be a list of 1 to {MAX_SECRETS} secrets.")
    for secret in value:
        if not isinstance(secret, str) or not _is_secret(secret):
            raise InvalidRequest(
                f"{name}: a secret is {PREFIX} and the base64 of {_MIN_BYTES} to {_MAX_BYTES}"
                " bytes."
            )


def headers(
    secrets: Sequence[str], webhook_id: str, time_s: int, body: bytes
) -> dict[str, str]:
    """Return the headers of the specification for a body that is sent at `time_s`."""
    signed = f"{webhook_id}.{time_s}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(time_s),
        "webhook-signature": " ".join(f"v1,{_mac(secret, signed)}" for secret in secrets),
    }


def _mac(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _is_secret(text: str) -> bool:
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith(PREFIX) and _MIN_BYTES <= len(key) <= _MAX_BYTES
