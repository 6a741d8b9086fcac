"""Grants: patterns, and what one may be narrowed to."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues.errors import InvalidRequest
from queues.identity import OPERATIONS, PATTERN, Grant, rules_of


def _grant(*patterns: str) -> Grant:
    return Grant(("c1",), frozenset(), patterns, 0)


@pytest.mark.parametrize(
    ("pattern", "queue", "expected"),
    [
        ("orders", "orders", True),
        ("orders", "Orders", False),
        ("orders", "orders-1", False),
        ("orders", "my-orders", False),
        ("orders*", "orders", True),
        ("orders-*", "orders-1", True),
        ("orders-*", "orders", False),
        ("*-eu", "orders-eu", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*", "anything", True),
        ("a.c", "abc", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, queue: str, expected: bool) -> None:
    assert _grant(pattern).covers(queue) is expected


def test_one_of_several_patterns_is_enough() -> None:
    assert _grant("a", "b*").covers("b1")
    assert not _grant().covers("a")


_NAMES = st.text("ab-", min_size=1, max_size=8)
_PATTERNS = st.text("ab*", min_size=1, max_size=5)


@given(_PATTERNS, _PATTERNS, _NAMES)
def test_whoever_covers_a_pattern_covers_all_that_it_covers(
    wide: str, narrow: str, queue: str
) -> None:
    if _grant(wide).covers(narrow) and _grant(narrow).covers(queue):
        assert _grant(wide).covers(queue)


@given(_PATTERNS, _NAMES)
def test_patterns_mean_what_the_plainest_reading_says(pattern: str, queue: str) -> None:
    plain = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert _grant(pattern).covers(queue) is (re.fullmatch(plain, queue) is not None)


@pytest.mark.parametrize("text", ["", "a?", "[a]", "a b", "a/b", "ä", "a" * 65, "a\n"])
def test_what_no_queue_name_holds_is_no_pattern(text: str) -> None:
    assert PATTERN.fullmatch(text) is None


def test_operations_are_short_names_and_names_of_rules() -> None:
    assert rules_of(["post", "claims:get"]) == {"messages:create", "claims:get"}
    assert rules_of(OPERATIONS) >= {"tokens:create", "queues:purge"}


@pytest.mark.parametrize("name", ["", "Post", "quotas:update", "health:get", "everything"])
def test_an_unknown_operation_is_told(name: str) -> None:
    with pytest.raises(InvalidRequest, match="operations"):
        rules_of(["post", name])
