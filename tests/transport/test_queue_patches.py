"""JSON patches of queue metadata over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transport.service import PATCH, Service
from tests.transport.test_queues import DEFAULTS

MALFORMED = (400, "Invalid request body")
CONFLICT = (409, "Resource conflict")
UNSUPPORTED = (415, "415 Unsupported Media Type")


def change(op: str, key: str, *value: object) -> dict[str, object]:
    document: dict[str, object] = {"op": op, "path": f"/metadata/{key}"}
    return {**document, "value": value[0]} if value else document


# The queue has {"a": 1, "b/c": 2, "_max_claim_count": 3}.
APPLIED: dict[str, tuple[list[dict[str, object]], dict[str, Any]]] = {
    "nothing": ([], {}),
    "add a new key": ([change("add", "new", [1])], {"new": [1]}),
    "add over an old key": ([change("add", "a", "x")], {"a": "x"}),
    "add null": ([change("add", "a", None)], {"a": None}),
    "replace a key": ([change("replace", "a", 9)], {"a": 9}),
    "replace an unset reserved key": (
        [change("replace", "_default_message_ttl", 60)],
        {"_default_message_ttl": 60},
    ),
    "remove a key": ([change("remove", "a")], {"a": ...}),
    "remove a reserved key": (
        [change("remove", "_max_claim_count")],
        {"_max_claim_count": None},
    ),
    "remove an unset reserved key": ([change("remove", "_dead_letter_queue")], {}),
    "add, then remove": ([change("add", "n", 1), change("remove", "n")], {}),
    "remove, then add": ([change("remove", "a"), change("add", "a", 2)], {"a": 2}),
    "an escaped slash": ([change("replace", "b~1c", 5)], {"b/c": 5}),
    "an escaped tilde": ([change("add", "~0~01", 5)], {"~~1": 5}),
    "more keys in an operation": ([{**change("remove", "a"), "value": 1, "x": 2}], {"a": ...}),
    "what the official client sends to replace all": (
        [change("replace", "a", 2), *(change("remove", key) for key in DEFAULTS)],
        {"a": 2, "_max_claim_count": None},
    ),
}


@pytest.mark.parametrize(("changes", "effect"), APPLIED.values(), ids=APPLIED)
async def test_a_patch_is_applied_in_order_and_answers_with_everything(
    service: Service, changes: list[dict[str, object]], effect: dict[str, Any]
) -> None:
    metadata = {"a": 1, "b/c": 2, "_max_claim_count": 3}
    await service.put("/v2/queues/q", metadata)
    answer = await service.patch_queue("q", *changes)
    expected = {**DEFAULTS, **metadata, **effect}
    expected = {key: value for key, value in expected.items() if value is not ...}
    assert (answer.status, answer.json) == (200, expected)
    assert (await service.get("/v2/queues/q")).json == expected


REFUSED: dict[str, tuple[bytes, tuple[int, str]]] = {
    "no body": (b"", MALFORMED),
    "white space": (b" ", MALFORMED),
    "no JSON": (b"[", MALFORMED),
    "an object": (b"{}", MALFORMED),
    "null": (b"null", MALFORMED),
    "an operation that is no object": (b"[1]", MALFORMED),
    "no op": (b'[{"path": "/metadata/a", "value": 1}]', MALFORMED),
    "an unknown op": (b'[{"op": "move", "path": "/metadata/a", "value": 1}]', MALFORMED),
    "an op that is a list": (b'[{"op": [], "path": "/metadata/a", "value": 1}]', MALFORMED),
    "no path": (b'[{"op": "remove"}]', MALFORMED),
    "a path that is a number": (b'[{"op": "remove", "path": 1}]', MALFORMED),
    "no value": (b'[{"op": "add", "path": "/metadata/a"}]', MALFORMED),
    "no leading slash": (b'[{"op": "remove", "path": "metadata/a"}]', MALFORMED),
    "another root": (b'[{"op": "remove", "path": "/anything/a"}]', MALFORMED),
    "another case": (b'[{"op": "remove", "path": "/METADATA/a"}]', MALFORMED),
    "no key": (b'[{"op": "remove", "path": "/metadata/"}]', MALFORMED),
    "the root": (b'[{"op": "remove", "path": "/metadata"}]', MALFORMED),
    "a deeper path": (b'[{"op": "remove", "path": "/metadata/a/b"}]', MALFORMED),
    "a trailing slash": (b'[{"op": "remove", "path": "/metadata/a/"}]', MALFORMED),
    "a bad escape": (b'[{"op": "remove", "path": "/metadata/~2"}]', MALFORMED),
    "a lone tilde": (b'[{"op": "remove", "path": "/metadata/a~"}]', MALFORMED),
    "replacing what is not there": (
        b'[{"op": "replace", "path": "/metadata/x", "value": 1}]',
        CONFLICT,
    ),
    "removing what is not there": (b'[{"op": "remove", "path": "/metadata/x"}]', CONFLICT),
    "removing twice": (
        b'[{"op": "remove", "path": "/metadata/a"}, {"op": "remove", "path": "/metadata/a"}]',
        CONFLICT,
    ),
    "a bad one after a good one": (
        b'[{"op": "remove", "path": "/metadata/a"}, {"op": "jump"}]',
        MALFORMED,
    ),
    "too large": (b"[" + b" " * 65_536 + b"]", (400, "Invalid API request")),
}


@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED)
async def test_a_bad_patch_changes_nothing(
    service: Service, data: bytes, error: tuple[int, str]
) -> None:
    await service.put("/v2/queues/q", {"a": 1})
    answer = await service.patch("/v2/queues/q", data=data, headers={"Content-Type": PATCH})
    assert answer.error == error
    assert (await service.get("/v2/queues/q")).json == {**DEFAULTS, "a": 1}


@pytest.mark.parametrize(
    "kind",
    [None, "application/json", PATCH.upper(), f"{PATCH}; charset=utf-8", "application/msgpack"],
)
async def test_a_patch_has_a_media_type_of_its_own(service: Service, kind: str | None) -> None:
    await service.put("/v2/queues/q")
    answer = await service.patch("/v2/queues/q", [], headers={"Content-Type": kind})
    assert answer.error == UNSUPPORTED
    assert answer.headers["accept-patch"] == PATCH
    assert PATCH in answer.json["description"]


async def test_metadata_cannot_grow_beyond_its_limit_patch_by_patch(service: Service) -> None:
    await service.put("/v2/queues/q", {"a": "x" * 40_000})
    answer = await service.patch_queue("q", change("add", "b", "x" * 40_000))
    assert answer.error == (400, "Invalid API request")
    assert "b" not in (await service.get("/v2/queues/q")).json


async def test_a_queue_cannot_be_patched_to_be_its_own_dead_letter_queue(
    service: Service,
) -> None:
    await service.put("/v2/queues/q")
    answer = await service.patch_queue("q", change("add", "_dead_letter_queue", "q"))
    assert answer.error == (400, "Invalid API request")
