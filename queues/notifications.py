"""What notifications say: Zaqar's form, CloudEvents 1.0, and letters about subscriptions.

Zaqar's clients compare the whole document, so it has not one key more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from queues.outboxes import Posted
from queues.subscriptions import PLACEHOLDER, Format, Subscription

#: The type of our CloudEvents.
EVENT_TYPE = "nusku.message.posted"

_JSON = "application/json"


class Letter(NamedTuple):
    """What is sent: a body, and what stands in its head."""

    headers: Mapping[str, str]
    body: bytes


def document(queue: str, message: Posted, body: bytes) -> bytes:
    """Return Zaqar's notification of a message with this JSON body."""
    tail: dict[str, Any] = {"ttl": message.ttl_s}
    if message.delay_s is not None:
        tail["delay"] = message.delay_s
    tail |= {"queue_name": queue, "Message_Type": "Notification"}
    return b'{"body":' + body + b"," + _encoded(tail)[1:]


def of_message(
    subscription: Subscription, queue: str, event_id: str, message: Posted, body: bytes
) -> Letter:
    """Return what is sent of a message; `body` is its JSON, `event_id` tells it from others."""
    if subscription.format is Format.ZAQAR:
        return of_document(subscription.options, document(queue, message, body))
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/v2/queues/{queue}",
        "type": EVENT_TYPE,
        "time": datetime.fromtimestamp(message.posted_ms / 1000, UTC).isoformat(),
    }
    if subscription.format is Format.BINARY:
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        return _letter(subscription.options, {"Content-Type": _JSON, **headers}, body)
    attributes["datacontenttype"] = _JSON
    event = _encoded(attributes)[:-1] + b',"data":' + body + b"}"
    return _letter(
        subscription.options, {"Content-Type": "application/cloudevents+json"}, event
    )


def of_document(options: Mapping[str, Any], notification: bytes) -> Letter:
    """Return what is sent of a document: itself, or `post_data` around it."""
    body, template = notification, options.get("post_data")
    if template is not None:
        body = template.replace(PLACEHOLDER, notification.decode()).encode()
    return _letter(options, {"Content-Type": _JSON}, body)


def _letter(options: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> Letter:
    """Return a letter with the subscriber's own headers in place of those of the same name."""
    own: Mapping[str, str] = options.get("post_headers") or {}
    overridden = {name.lower() for name in own}
    kept = {name: text for name, text in headers.items() if name.lower() not in overridden}
    return Letter({**kept, **own}, body)


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
