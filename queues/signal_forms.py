"""The forms in which signals arrive: Heat's, that of cfn-signal, and any JSON at all.

Heat's has the keys `status`, `reason`, `id` and `data`, that of cfn-signal `Status`, `Reason`,
`UniqueId` and `Data`; each of them is optional. Sources: heat-cfntools, Heat's wait
conditions.
"""

from __future__ import annotations

import json
from typing import Any

from queues.errors import InvalidRequest
from queues.signals import Signal, Status

MAX_ID_BYTES = 255
#: What a sign of life may say, as it is kept in the handle itself.
MAX_PROGRESS_BYTES = 4096

_FIELDS = {
    **{name: name for name in ("status", "reason", "id", "data")},
    "Status": "status",
    "Reason": "reason",
    "UniqueId": "id",
    "Data": "data",
}


def parsed(value: Any) -> Signal:
    """Return the signal that a decoded document is.

    Other keys beside a status mean nothing. What has none of the forms is a success, and the
    data of it.

    Raises: InvalidRequest naming the field.
    """
    if not _is_form(value):
        return Signal(data=value)
    given: dict[str, Any] = {}
    for name, item in value.items():
        field = _FIELDS.get(name)
        if field in given:
            raise InvalidRequest(f"{name}: the signal says its {field} twice.")
        if field is not None:
            given[field] = item
    signal = Signal(
        _status(given.get("status")),
        _reason(given.get("reason")),
        _id(given.get("id")),
        given.get("data"),
    )
    if signal.status is Status.IN_PROGRESS and _size(signal) > MAX_PROGRESS_BYTES:
        raise InvalidRequest(f"Progress must not exceed {MAX_PROGRESS_BYTES} bytes.")
    return signal


def _is_form(value: Any) -> bool:
    """Say whether a document is a signal, and not just data.

    NOTE: a `status` beside other keys is taken for one, or a failure would count as success.
    """
    if not isinstance(value, dict):
        return False
    return "status" in value or "Status" in value or value.keys() <= _FIELDS.keys()


def _status(value: Any) -> Status:
    if value is None:
        return Status.SUCCESS
    if isinstance(value, str) and value.upper() in Status.__members__:
        return Status[value.upper()]
    raise InvalidRequest("status must be SUCCESS, FAILURE or IN_PROGRESS.")


def _reason(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequest("reason must be a string.")


def _id(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return checked_id(value)


def checked_id(value: Any) -> str:
    """Return the id of a sender if it can be one.

    Raises: InvalidRequest.
    """
    if not isinstance(value, str) or not 0 < len(value.encode()) <= MAX_ID_BYTES:
        raise InvalidRequest(f"id must be a string of 1 to {MAX_ID_BYTES} bytes.")
    return value


def _size(signal: Signal) -> int:
    return len(json.dumps([signal.reason, signal.data]).encode())
