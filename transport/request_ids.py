"""The id under which a request is found in the log."""

from __future__ import annotations

import itertools
import os
import uuid

import falcon.asgi


class RequestIds:
    """Ids that no other process makes: `req-` and a UUID of random digits and a number."""

    def __init__(self) -> None:
        """Begin with fresh random digits."""
        self.begin()

    def begin(self) -> None:
        """Forget what was random before."""
        # PERF: counting on behind random digits is cheaper than new ones for each request.
        self._random = f"req-{str(uuid.uuid4())[:24]}"
        self._numbers = itertools.count()

    def new(self) -> str:
        """Return an id that was not there before."""
        return f"{self._random}{next(self._numbers):012x}"


_ids = RequestIds()
# The workers are forked off the process that loads this.
os.register_at_fork(after_in_child=_ids.begin)


def request_id(req: falcon.asgi.Request) -> str:
    """Return the id of this request, made when it is first asked for."""
    known: str | None = getattr(req.context, "request_id", None)
    if known is None:
        known = req.context.request_id = _ids.new()
    return known


def show(req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
    """Add the id of the request to its answer."""
    resp.set_header("X-Openstack-Request-Id", request_id(req))
