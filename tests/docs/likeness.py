"""Compares an answer with the one that a page shows."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

#: Keys whose values differ from run to run; only their types are compared.
_VOLATILE = ("age", "seconds", "warnings")

_STATUS = re.compile(r"HTTP/1\.1 (\d{3})[^\n]*")


class Answer(NamedTuple):
    """An HTTP answer. `document` is None without a body."""

    status: int
    headers: dict[str, str]
    document: Any


def answers(text: str) -> list[Answer]:
    """Return the answers that `curl -i` printed, or that an `http` block shows."""
    _, *parts = _STATUS.split(text.replace("\r\n", "\n"))
    return [
        _answer(int(status), rest)
        for status, rest in zip(parts[::2], parts[1::2], strict=True)
        if int(status) >= 200
    ]


def is_like(shown: Any, real: Any) -> bool:
    """Say whether `real` is what the page shows, where an ellipsis stands for anything."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return shown.keys() == real.keys() and all(
            type(value) is type(real[key]) if key in _VOLATILE else is_like(value, real[key])
            for key, value in shown.items()
        )
    if isinstance(shown, list) and isinstance(real, list):
        return len(shown) == len(real) and all(map(is_like, shown, real))
    if isinstance(shown, str) and isinstance(real, str):
        return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), real) is not None
    return type(shown) is type(real) and bool(shown == real)


def check(shown: Answer, real: Answer, script: str) -> None:
    """Fail unless the status, the headers shown and the document are as the page says."""
    where = f"\n{script}\nshown: {shown}\nreal:  {real}"
    assert shown.status == real.status, where
    for name, value in shown.headers.items():
        assert is_like(value, real.headers.get(name)), where
    assert is_like(shown.document, real.document), where


def _answer(status: int, rest: str) -> Answer:
    head, _, body = rest.partition("\n\n")
    headers = {}
    for line in head.strip().splitlines():
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Answer(status, headers, json.loads(body) if body.strip() else None)
