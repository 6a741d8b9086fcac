"""JSON patches of metadata."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues import patch
from queues.errors import MalformedBody, MetadataConflict
from queues.patch import Change

RESERVED = {"_default_message_ttl": 3600, "_dead_letter_queue": None}


def _apply(metadata: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    return patch.apply(metadata, patch.parse(list(operations)), RESERVED)


def test_changes_are_applied_in_order() -> None:
    assert _apply(
        {"a": 1, "b": 2},
        {"op": "add", "path": "/metadata/c", "value": {"d": None}},
        {"op": "replace", "path": "/metadata/a", "value": [1]},
        {"op": "remove", "path": "/metadata/b"},
        {"op": "add", "path": "/metadata/b", "value": 3},
    ) == {"a": [1], "b": 3, "c": {"d": None}}


def test_add_replaces_what_is_there() -> None:
    assert _apply({"a": 1}, {"op": "add", "path": "/metadata/a", "value": 2}) == {"a": 2}


def test_the_original_is_left_alone() -> None:
    metadata = {"a": 1}
    _apply(metadata, {"op": "remove", "path": "/metadata/a"})
    assert metadata == {"a": 1}


@pytest.mark.parametrize("op", ["replace", "remove"])
def test_a_key_that_is_not_there_is_a_conflict_that_names_it(op: str) -> None:
    with pytest.raises(MetadataConflict, match="'a'"):
        _apply({}, {"op": op, "path": "/metadata/a", "value": 1})


def test_a_reserved_attribute_counts_as_there() -> None:
    path = "/metadata/_dead_letter_queue"
    assert _apply({}, {"op": "remove", "path": path}) == {}
    assert _apply({}, {"op": "replace", "path": path, "value": "d"}) == {
        "_dead_letter_queue": "d"
    }


@pytest.mark.parametrize(
    ("path", "key"), [("/metadata/a~1b", "a/b"), ("/metadata/~0", "~"), ("/metadata/~01", "~1")]
)
def test_paths_are_json_pointers(path: str, key: str) -> None:
    assert patch.parse([{"op": "remove", "path": path}]) == [Change("remove", key, None)]


@given(st.text(min_size=1))
def test_every_key_can_be_named(key: str) -> None:
    path = "/metadata/" + key.replace("~", "~0").replace("/", "~1")
    assert _apply({}, {"op": "add", "path": path, "value": 1}) == {key: 1}


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({}, "list"),
        ("text", "list"),
        (None, "list"),
        ([1], "Operation 0 .* object"),
        ([{}], "Operation 0: 'op'"),
        ([{"op": "move", "path": "/metadata/a", "value": 1}], "'op' must be one of add"),
        ([{"op": ["add"], "path": "/metadata/a", "value": 1}], "'op'"),
        ([{"op": "add", "path": "/metadata/a"}], "'value'"),
        ([{"op": "replace", "path": "/metadata/a"}], "'value'"),
        ([{"op": "remove"}], "'path'"),
        ([{"op": "remove", "path": 1}], "'path'"),
        ([{"op": "remove", "path": "metadata/a"}], "'path'"),
        ([{"op": "remove", "path": "/metadata/"}], "'path'"),
        ([{"op": "remove", "path": "/metadata/a/b"}], "'path'"),
        ([{"op": "remove", "path": "/other/a"}], "'path'"),
        ([{"op": "remove", "path": "/metadata/~2"}], "'~0'"),
        ([{"op": "remove", "path": "/metadata/~"}], "'~0'"),
        ([{"op": "remove", "path": "/metadata/a"}, {}], "Operation 1"),
    ],
)
def test_a_malformed_patch_is_refused_by_operation(document: object, named: str) -> None:
    with pytest.raises(MalformedBody, match=named):
        patch.parse(document)
