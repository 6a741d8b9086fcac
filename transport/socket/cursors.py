"""Actions on cursors. Zaqar has none; a subscription reads them, and this moves them on."""

from __future__ import annotations

from transport.socket.action import Action, Call, OfQueue
from transport.socket.frames import Reply


class _Acknowledge(OfQueue):
    cursor: str
    position: str


async def _acknowledge(call: Call, wanted: _Acknowledge) -> Reply:
    await call.operations.cursors.acknowledge(
        call.project, wanted.queue_name, wanted.cursor, wanted.position
    )
    return Reply(204, {})


ACTIONS = {
    "cursor_acknowledge": Action(
        "cursors:update", "POST", "/cursors", _Acknowledge, _acknowledge
    ),
}
