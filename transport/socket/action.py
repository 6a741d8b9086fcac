"""What all actions have in common: who asks, for what, and how they are answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import falcon.asgi
import msgspec

from queues.config import Settings
from queues.limits import DEFAULT_PAGE
from queues.model import Media
from queues.operations import Operations
from transport.headers import Caller
from transport.socket.frames import Reply
from transport.socket.pushes import Pushes


class OfQueue(msgspec.Struct):
    """The body of an action on a queue."""

    queue_name: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request on a socket, admitted. `req` is its twin over HTTP, for the audit log."""

    operations: Operations
    settings: Settings
    pushes: Pushes
    req: falcon.asgi.Request
    caller: Caller
    media: Media
    body_bytes: int

    @property
    def project(self) -> str:
        """The project of the socket."""
        return self.caller.project

    def check(self, rule: str, queue: str) -> None:
        """Refuse what the policy does not allow.

        Raises: Forbidden.
        """
        self.operations.authorization.check(rule, self.caller.identity, queue)

    def page(self, limit: int | None, cap: int) -> int:
        """Return the limit asked for; whoever asks for none gets one that is allowed."""
        return min(DEFAULT_PAGE, cap) if limit is None else limit


class Action(NamedTuple):
    """What a frame may ask for.

    `rule` is that of the policy; without one, the action asks for the rules that it needs.
    `method` and `path`, below the queue, are those of the twin over HTTP, which signed URLs
    are for. `shape` is the type of the body.
    """

    rule: str | None
    method: str
    path: str
    shape: type[Any]
    run: Callable[[Call, Any], Awaitable[Reply]]
