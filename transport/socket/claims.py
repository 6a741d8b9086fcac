"""Actions on claims."""

from __future__ import annotations

from queues.operations.claims import ClaimView, Wanted
from queues.operations.messages import Snapshot
from transport.socket.action import Action, Call, OfQueue
from transport.socket.frames import Reply
from transport.socket.messages import shown


class _Create(OfQueue):
    limit: int | None = None
    ttl: int | None = None
    grace: int | None = None


class _One(OfQueue):
    claim_id: str


class _Update(_One):
    ttl: int | None = None
    grace: int | None = None


def _held(view: ClaimView) -> Snapshot:
    return Snapshot(view.claim.messages, view.tag, view.now_ms)


async def _create(call: Call, wanted: _Create) -> Reply:
    limit = call.page(wanted.limit, call.settings.max_messages_per_claim_or_pop)
    view = await call.operations.claims.create(
        call.project, wanted.queue_name, Wanted(wanted.ttl, wanted.grace, limit, None)
    )
    if view is None:
        return Reply(204, {"claim_id": None})
    return Reply(201, {"claim_id": view.claim.id, "messages": shown(call, _held(view))})


async def _get(call: Call, wanted: _One) -> Reply:
    view = await call.operations.claims.get(call.project, wanted.queue_name, wanted.claim_id)
    claim = view.claim
    age_s = max(0, view.now_ms - claim.leased_ms) // 1000
    held = shown(call, _held(view))
    return Reply(200, {"age": age_s, "ttl": claim.lease_ms // 1000, "messages": held})


async def _update(call: Call, wanted: _Update) -> Reply:
    await call.operations.claims.renew(
        call.project,
        wanted.queue_name,
        wanted.claim_id,
        ttl_s=wanted.ttl,
        grace_s=wanted.grace,
        idempotency_key=None,
    )
    return Reply(204, f"Claim {wanted.claim_id} updated.")


async def _delete(call: Call, wanted: _One) -> Reply:
    await call.operations.claims.release(call.project, wanted.queue_name, wanted.claim_id)
    return Reply(204, f"Claim {wanted.claim_id} deleted.")


ACTIONS = {
    "claim_create": Action("claims:create", "POST", "/claims", _Create, _create),
    "claim_get": Action("claims:get", "GET", "/claims", _One, _get),
    "claim_update": Action("claims:update", "PATCH", "/claims", _Update, _update),
    "claim_delete": Action("claims:delete", "DELETE", "/claims", _One, _delete),
}
