"""What counts as which signal: the forms of Heat and of cfn-signal, and any other JSON."""

from __future__ import annotations

from typing import Any

import pytest

from queues.errors import InvalidRequest
from queues.signal_forms import parsed
from queues.signals import Signal, Status

FAILURE, IN_PROGRESS = Status.FAILURE, Status.IN_PROGRESS


@pytest.mark.parametrize(
    ("document", "signal"),
    [
        (
            {"Status": "SUCCESS", "Reason": "done", "UniqueId": "i-1", "Data": "text"},
            Signal(reason="done", id="i-1", data="text"),
        ),
        ({"Status": "FAILURE", "UniqueId": "i-1"}, Signal(FAILURE, id="i-1")),
        (
            {"status": "FAILURE", "reason": "no", "id": "2", "data": {"a": 1}},
            Signal(FAILURE, "no", "2", {"a": 1}),
        ),
        ({}, Signal()),
        ({"data": [1]}, Signal(data=[1])),
        ({"id": 7}, Signal(id="7")),
        ({"status": None, "reason": None, "id": None, "data": None}, Signal()),
        ({"status": "failure"}, Signal(FAILURE)),
        (
            {"status": "IN_PROGRESS", "reason": "half", "data": 50},
            Signal(IN_PROGRESS, "half", None, 50),
        ),
        ({"Status": "SUCCESS", "id": "mixed"}, Signal(id="mixed")),
        ({"status": "FAILURE", "other": 1}, Signal(FAILURE)),
    ],
)
def test_a_form_is_read(document: Any, signal: Signal) -> None:
    assert parsed(document) == signal


@pytest.mark.parametrize(
    "document",
    [
        {"deploy_status_code": 0, "deploy_stdout": "ok"},
        {"id": 7, "name": "a resource of somebody"},
        [],
        ["a"],
        "text",
        12,
        None,
        True,
    ],
)
def test_any_other_json_is_a_success_and_its_data(document: Any) -> None:
    assert parsed(document) == Signal(data=document)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"status": "ok"}, "status"),
        ({"Status": 1}, "status"),
        ({"reason": 1}, "reason"),
        ({"id": ""}, "id"),
        ({"id": True}, "id"),
        ({"id": 1.5}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"id": "ä" * 128}, "id"),
        ({"status": "SUCCESS", "Status": "FAILURE"}, "Status"),
        ({"id": "a", "UniqueId": "a"}, "UniqueId"),
        ({"status": "IN_PROGRESS", "data": "x" * 5000}, "Progress"),
    ],
)
def test_what_is_wrong_is_named(document: Any, field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}"):
        parsed(document)
