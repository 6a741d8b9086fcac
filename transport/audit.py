"""The audit log: one line for each change that matters to security, and for each refusal.

    … logger=nusku.audit msg="queue.created" subject="orders" project="p1" user="ann" …

Written by the logger `nusku.audit`, whatever the log level. SECURITY: paths are shown without
their query, and credentials by their ids, so no line opens anything.
"""

from __future__ import annotations

import logging
from typing import Any

import falcon.asgi

from transport.request_ids import request_id

_log = logging.getLogger("nusku.audit")


def changed(req: falcon.asgi.Request, event: str, subject: str) -> None:
    """Note that the caller changed something: `event` is noun and verb, `subject` its name."""
    _write(req, event, {"subject": subject})


def refused(req: falcon.asgi.Request, code: str, reason: str) -> None:
    """Note that somebody was refused, before or after it was clear who."""
    fields = {"code": code, "method": req.method, "path": req.path, "reason": reason}
    _write(req, "refused", fields)


def _write(req: falcon.asgi.Request, event: str, fields: dict[str, Any]) -> None:
    caller = getattr(req.context, "caller", None)
    if caller is not None:
        grant = caller.identity.grant
        fields |= {
            "project": caller.project,
            "user": caller.identity.user,
            "client_id": caller.client_id,
            "credential": grant.id if grant else None,
        }
    fields["request_id"] = request_id(req)
    _log.info(event, extra={"fields": fields})
