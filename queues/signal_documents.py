"""Wait handles, and what was said to them, as they are stored: JSON objects in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from queues.signals import Contribution, Handle, Progress, State, Status, Target, Terms


def encoded(handle: Handle) -> bytes:
    """Return the handle as stored."""
    document = {name: getattr(handle, name) for name in Handle.__dataclass_fields__}
    notify = handle.terms.notify
    terms = {**asdict(handle.terms), "notify": notify and notify._asdict()}
    progress = handle.progress and handle.progress._asdict()
    return _dumped({**document, "terms": terms, "progress": progress})


def decoded(stored: bytes) -> Handle:
    """Return the handle that `encoded` made bytes of."""
    document = json.loads(stored)
    terms, progress = document["terms"], document["progress"]
    terms["notify"] = terms["notify"] and Target(**terms["notify"])
    document["terms"] = Terms(**terms)
    document["progress"] = progress and Progress(**progress)
    document["state"] = State(document["state"])
    for name in ("senders", "lineage"):
        document[name] = tuple(document[name])
    return Handle(**document)


def encoded_contribution(contribution: Contribution) -> bytes:
    """Return what a sender said as stored."""
    return _dumped(contribution._asdict())


def decoded_contribution(stored: bytes) -> Contribution:
    """Return what `encoded_contribution` made bytes of."""
    document: dict[str, Any] = json.loads(stored)
    return Contribution(**{**document, "status": Status(document["status"])})


def _dumped(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
