"""Notices: what is sent though nobody posted it, to a subscriber or to whom it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from queues import notifications
from queues.notifications import Letter
from queues.subscriptions import State, Subscription


def address(
    subscriber: str, options: Mapping[str, Any], secrets: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return to whom a notice goes that is for no subscription, checked as one would be."""
    return {"subscriber": subscriber, "options": options, "secrets": secrets}


def recipient(to: Mapping[str, Any]) -> Subscription:
    """Return what `address` made, in the form of a subscription that nobody can find."""
    return Subscription(
        id="",
        subscriber=to["subscriber"],
        ttl_s=0,
        started_ms=0,
        options=to["options"],
        state=State.CONFIRMED,
        secrets=tuple(to["secrets"]),
        lineage=(),
    )


def letter(to: Subscription, notice: Mapping[str, Any]) -> Letter:
    """Return what is sent: the notice, or `post_data` around it."""
    document = json.dumps(notice, ensure_ascii=False, separators=(",", ":"))
    return notifications.of_document(to.options, document.encode())
