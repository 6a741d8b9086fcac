"""JSON patches of queue metadata, after RFC 6902 with the paths that Zaqar v2 allows.

A patch is a list of `add`, `replace` and `remove` whose `path` is `/metadata/<key>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from queues.errors import MalformedBody, MetadataConflict

_OPERATIONS = ("add", "replace", "remove")
_BAD_ESCAPE = re.compile(r"~(?![01])")


class Change(NamedTuple):
    """One operation of a patch on one metadata key. `value` is None for `remove`."""

    op: str
    key: str
    value: Any


def parse(document: object) -> list[Change]:
    """Return the changes that a decoded patch document asks for.

    Raises: MalformedBody naming the operation that is wrong and what was expected.
    """
    if not isinstance(document, list):
        raise MalformedBody("A patch must be a list of operations.")
    return [_parse_operation(index, item) for index, item in enumerate(document)]


def _parse_operation(index: int, item: object) -> Change:
    if not isinstance(item, Mapping):
        raise MalformedBody(f"Operation {index} of the patch must be an object.")
    op = item.get("op")
    if op not in _OPERATIONS:
        raise MalformedBody(f"Operation {index}: 'op' must be one of {', '.join(_OPERATIONS)}.")
    if op != "remove" and "value" not in item:
        raise MalformedBody(f"Operation {index}: 'value' is required for '{op}'.")
    return Change(op, _parse_path(index, item.get("path")), item.get("value"))


def _parse_path(index: int, path: object) -> str:
    """Return the metadata key that a JSON pointer (RFC 6901) names."""
    parts = path.split("/") if isinstance(path, str) else []
    if len(parts) != 3 or parts[0] or parts[1] != "metadata" or not parts[2]:
        raise MalformedBody(f"Operation {index}: 'path' must be '/metadata/<key>'.")
    if _BAD_ESCAPE.search(parts[2]):
        raise MalformedBody(f"Operation {index}: in 'path', '~' must be '~0' and '/' '~1'.")
    return parts[2].replace("~1", "/").replace("~0", "~")


def apply(
    metadata: Mapping[str, Any], changes: list[Change], reserved: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a copy of `metadata` with the changes applied in order.

    The `reserved` attributes count as present even when unset, so replacing or removing
    them always succeeds.

    Raises: MetadataConflict for `replace` or `remove` of a key that is not there.
    """
    patched = dict(metadata)
    for change in changes:
        if change.op != "add" and change.key not in patched and change.key not in reserved:
            raise MetadataConflict(f"Metadata has no key '{change.key}' to {change.op}.")
        if change.op == "remove":
            patched.pop(change.key, None)
        else:
            patched[change.key] = change.value
    return patched
