"""Filters of subscriptions: which messages a subscriber wants to hear of.

A filter is an object with `body`, `metadata` or both; a message passes if all of it holds.
Each looks like what it is compared with, and ends in lists of alternatives:

    {"body": {"event": ["created", "deleted"],
              "size": [{"numeric": [">=", 10, "<", 100]}],
              "owner": {"name": [{"prefix": "svc-"}]},
              "error": [{"exists": false}]},
     "metadata": {"client_id": ["3381af92-2b9e-11e3-b191-71861300734c"]}}

An alternative is a string, a number, true, false or null, which stand for themselves, or
`{"prefix": text}`, `{"suffix": text}`, `{"exists": true or false}`, `{"anything-but": list}`,
`{"numeric": comparisons}`. A list in a message stands for each of its elements. What is not
there fits only `{"exists": false}`. The language is a part of that of Amazon SNS, so there is
nothing new to learn.

SECURITY: both filters and messages come from tenants, and whoever judges them does nothing else
meanwhile. So both the size of a filter and the work on a message have a limit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from queues.errors import InvalidRequest

#: How deep conditions may be nested, and how many alternatives there may be in all. Each value
#: of `anything-but` is one.
MAX_DEPTH = 5
MAX_ALTERNATIVES = 150

#: So much is compared of one message: 3 ms, as a lane may judge hundreds at a time.
MAX_COMPARISONS = 10_000

_PARTS = ("body", "metadata")
METADATA = ("client_id", "delay", "ttl")

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT = object()


class _Unclear(Exception):
    """The message is so large that it was not judged to its end."""


class _Effort:
    """What may still be spent on a message."""

    def __init__(self) -> None:
        self._left = MAX_COMPARISONS

    def spend(self, comparisons: int) -> None:
        self._left -= comparisons
        if self._left < 0:
            raise _Unclear


def check(name: str, value: object) -> None:
    """Refuse what is no filter.

    Raises: InvalidRequest naming the place under `name`.
    """
    if not isinstance(value, Mapping) or not value or not set(value) <= set(_PARTS):
        raise InvalidRequest(f"{name} must be an object with body, metadata or both.")
    alternatives = sum(_check_object(f"{name}.{part}", value[part], 1) for part in value)
    for key in value.get("metadata", ()):
        if key not in METADATA:
            raise InvalidRequest(f"{name}.metadata: there is no {key!r} to filter by.")
    if alternatives > MAX_ALTERNATIVES:
        raise InvalidRequest(f"{name} must not have more than {MAX_ALTERNATIVES} conditions.")


def passes(
    wanted: Mapping[str, Any], body: Any, metadata: Mapping[str, Any], *, unclear: bool = True
) -> bool:
    """Say whether a message passes a checked filter; `body` is the decoded JSON.

    `unclear` is the answer for a message that takes more than `MAX_COMPARISONS`.
    """
    given, effort = {"body": body, "metadata": metadata}, _Effort()
    try:
        return all(
            _fits_object(conditions, given[part], effort) for part, conditions in wanted.items()
        )
    except _Unclear:
        return unclear


def _check_object(name: str, value: object, depth: int) -> int:
    """Check conditions by key, and return how many alternatives there are."""
    if not isinstance(value, Mapping) or not value:
        raise InvalidRequest(f"{name} must be an object of conditions.")
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"{name} is nested deeper than {MAX_DEPTH} levels.")
    return sum(_check_conditions(f"{name}.{key}", value[key], depth) for key in value)


def _check_conditions(name: str, value: object, depth: int) -> int:
    if isinstance(value, Mapping):
        return _check_object(name, value, depth + 1)
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"{name} must be a list of alternatives, or an object of them.")
    for alternative in value:
        _check_alternative(name, alternative)
    return _number(value)


def _check_alternative(name: str, value: object) -> None:
    if _is_scalar(value):
        return
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, operand),) = value.items()
        if kind in _KINDS and _KINDS[kind][0](operand):
            return
    raise InvalidRequest(
        f"{name}: an alternative is a string, a number, true, false, null, or an object with "
        f"one of {', '.join(_KINDS)} and what belongs to it."
    )


def _number(alternatives: Sequence[Any]) -> int:
    """Return how many there are; each value of `anything-but` is one."""
    return sum(
        len(one.get("anything-but", "1")) if isinstance(one, Mapping) else 1
        for one in alternatives
    )


def _fits_object(conditions: Mapping[str, Any], value: Any, effort: _Effort) -> bool:
    return all(
        _fits(
            condition,
            value.get(key, _ABSENT) if isinstance(value, Mapping) else _ABSENT,
            effort,
        )
        for key, condition in conditions.items()
    )


def _fits(condition: Any, value: Any, effort: _Effort) -> bool:
    if isinstance(condition, Mapping):
        elements = _elements(value, 1, effort)
        return any(_fits_object(condition, element, effort) for element in elements)
    return any(
        _meets(alternative, element)
        for element in _elements(value, _number(condition), effort)
        for alternative in condition
    )


def _elements(value: Any, comparisons: int, effort: _Effort) -> Iterator[Any]:
    """Yield what stands for the value, each at the price of so many comparisons.

    An empty list is there, and equals nothing.
    """
    ahead = [value]
    while ahead:
        effort.spend(comparisons)
        element = ahead.pop()
        if isinstance(element, list) and element:
            ahead += reversed(element)
        else:
            yield element


def _meets(alternative: Any, value: Any) -> bool:
    if not isinstance(alternative, Mapping):
        return _equals(alternative, value)
    ((kind, operand),) = alternative.items()
    meets: bool = _KINDS[kind][1](operand, value)
    return meets


def _equals(wanted: object, value: object) -> bool:
    # NOTE: to Python, true is 1.
    return wanted == value and isinstance(wanted, bool) is isinstance(value, bool)


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_scalar, value))


def _is_comparison(value: object) -> bool:
    if not isinstance(value, list) or len(value) not in (2, 4):
        return False
    signs, numbers = value[::2], value[1::2]
    known = all(isinstance(sign, str) and sign in _COMPARISONS for sign in signs)
    return known and all(map(_is_number, numbers))


def _compares(comparison: list[Any], value: object) -> bool:
    return _is_number(value) and all(
        _COMPARISONS[sign](value, number)
        for sign, number in zip(comparison[::2], comparison[1::2], strict=True)
    )


#: Of each kind: what may belong to it, and when a value meets it.
_KINDS: Mapping[str, tuple[Callable[[object], bool], Callable[[Any, Any], bool]]] = {
    "prefix": (_is_text, lambda text, value: _is_text(value) and value.startswith(text)),
    "suffix": (_is_text, lambda text, value: _is_text(value) and value.endswith(text)),
    "exists": (
        lambda value: isinstance(value, bool),
        lambda wanted, value: (value is not _ABSENT) is wanted,
    ),
    "anything-but": (
        _is_list,
        lambda unwanted, value: (
            value is not _ABSENT and not any(_equals(one, value) for one in unwanted)
        ),
    ),
    "numeric": (_is_comparison, _compares),
}
