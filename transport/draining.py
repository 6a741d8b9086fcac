"""Word that the server is about to stop, before it waits for the requests in flight.

ASGI has no event for that: `lifespan.shutdown` comes when all requests are done, and some
would wait for a minute. But the server keeps the `state` of the lifespan, in which the
application may leave what it wants.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

_ON_DRAINING = "nusku.on_draining"


def expect(scope: MutableMapping[str, Any], callback: Callable[[], None]) -> None:
    """Let `callback` be called when draining begins; with other servers it never is."""
    scope.setdefault("state", {})[_ON_DRAINING] = callback


def begin(state: MutableMapping[str, Any]) -> None:
    """Tell the application, if it wants to know."""
    callback = state.get(_ON_DRAINING)
    if callback is not None:
        callback()
