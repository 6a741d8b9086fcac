"""What one project may use: size quotas and rates, with overrides by the operator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from queues.errors import InvalidRequest

_MAX_QUOTA = 2**53
_MAX_RATE = 10**9


class ProjectLimits(NamedTuple):
    """Quotas of a project; 0 means without limit. Field names are those of the API."""

    queues: int = 0
    messages: int = 0
    body_bytes: int = 0
    claimed_messages: int = 0
    requests_per_s: float = 0.0
    messages_per_s: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether any of the limits is about what is stored."""
        return any(self[:4])


def decode(stored: bytes) -> dict[str, Any]:
    """Return the overrides that `encode` made bytes of, also that of a newer version."""
    overrides: dict[str, Any] = json.loads(stored)
    return {name: overrides[name] for name in ProjectLimits._fields if name in overrides}


def encode(overrides: Mapping[str, Any]) -> bytes:
    """Return overrides as stored, after a check.

    Raises: InvalidRequest naming the key and what was expected.
    """
    for name, value in overrides.items():
        if name not in ProjectLimits._fields:
            raise InvalidRequest(
                f"'{name}' is no quota; there are {', '.join(ProjectLimits._fields)}."
            )
        _check(name, value)
    return json.dumps(dict(overrides)).encode()


def _check(name: str, value: object) -> None:
    is_rate = name.endswith("_per_s")
    kinds = int | float if is_rate else int
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise InvalidRequest(f"{name} must be a {'' if is_rate else 'whole '}number.")
    highest = _MAX_RATE if is_rate else _MAX_QUOTA
    # NOTE: what is no number (NaN) is not between any two.
    if not 0 <= value <= highest:
        raise InvalidRequest(f"{name} must be between 0 and {highest}; 0 means no limit.")
