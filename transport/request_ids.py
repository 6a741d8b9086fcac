"""The id under which a request is found in the log."""

from __future__ import annotations

import itertools
import uuid

import falcon.asgi

# PERF: counting on from a random number is cheaper than randomness for each request.
_numbers = itertools.count(uuid.uuid4().int)


def request_id(req: falcon.asgi.Request) -> str:
    """Return the id of this request, made when it is first asked for: `req-` and a UUID."""
    known: str | None = getattr(req.context, "request_id", None)
    if known is None:
        known = req.context.request_id = _new_id()
    return known


def _new_id() -> str:
    text = f"{next(_numbers) % 2**128:032x}"
    return f"req-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
