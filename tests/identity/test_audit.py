"""The audit log: which lines there are, and what is in them and not."""

from __future__ import annotations

import io
import logging

import pytest

from tests.clock import MovableClock
from tests.identity.issuer import SigningKey
from tests.transport.service import Service
from transport.logs import configure

HOOKS = "/v2/queues/b/subscriptions"
POSTED = {"messages": [{"body": 1}]}


def _events(lines: io.StringIO) -> list[str]:
    return [line.split(' msg="')[1].split('"')[0] for line in lines.getvalue().splitlines()]


async def test_each_change_has_a_line(service: Service, lines: io.StringIO) -> None:
    admin = {"X-Roles": "admin"}
    patch = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
    add = [{"op": "add", "path": "/metadata/a", "value": 1}]
    await service.put("/v2/queues/a")
    await service.put("/v2/queues/a")
    await service.call("PATCH", "/v2/queues/a", add, headers=patch)
    await service.post("/v2/queues/b/messages", POSTED)
    await service.post("/v2/queues/b/messages", POSTED)
    await service.post("/v2/queues/a/purge")
    await service.delete("/v2/queues/a")
    made = await service.post(HOOKS, {"subscriber": "http://fake/"})
    hook = f"{HOOKS}/{made.json['subscription_id']}"
    await service.patch(hook, {"ttl": 60})
    await service.put(f"{hook}/confirm", {"confirmed": True})
    await service.put(f"{hook}/confirm", {"confirmed": False})
    await service.post(f"{hook}/replay", {"state": "failed"})
    await service.delete(hook)
    await service.post("/v2/queues/b/share", {})
    share = (await service.post("/v2/shares", {"queue": "b"})).json["id"]
    await service.delete(f"/v2/shares/{share}")
    token = (await service.post("/v2/tokens", {"operations": ["post"]})).json["id"]
    await service.delete(f"/v2/tokens/{token}")
    await service.put("/v2/quotas?project=p2", {"queues": 1}, headers=admin)
    await service.delete("/v2/quotas?project=p2", headers=admin)
    assert _events(lines) == [
        "queue.created",
        "queue.updated",
        "queue.created",
        "queue.purged",
        "queue.deleted",
        "subscription.created",
        "subscription.updated",
        "subscription.confirmed",
        "subscription.ended",
        "subscription.replayed",
        "subscription.deleted",
        "share.created",
        "share.created",
        "share.revoked",
        "token.created",
        "token.revoked",
        "quota.changed",
        "quota.deleted",
    ]


async def test_a_queue_that_comes_with_its_first_subscription_has_a_line(
    service: Service, lines: io.StringIO
) -> None:
    await service.post(HOOKS, {"subscriber": "http://fake/"})
    await service.post(HOOKS, {"subscriber": "http://other/"})
    created = ["queue.created", "subscription.created", "subscription.created"]
    assert _events(lines) == created


async def test_a_line_says_who_and_what(service: Service, lines: io.StringIO) -> None:
    answer = await service.put("/v2/queues/a", headers={"X-User-Id": "ann"})
    (line,) = lines.getvalue().splitlines()
    for field in ('subject="a"', 'project="p1"', 'user="ann"', 'client_id="'):
        assert field in line
    assert f'request_id="{answer.headers["x-openstack-request-id"]}"' in line


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X-Auth-Token": "rubbish"}, 401, "401"),
        ({"X-Project-ID": "p2"}, 403, "403"),
        ({"URL-Signature": "0" * 64}, 404, "signature_refused"),
    ],
)
async def test_each_refusal_has_a_line(
    guarded: Service,
    issuer_key: SigningKey,
    clock: MovableClock,
    lines: io.StringIO,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    valid = {"X-Auth-Token": issuer_key.token(clock)}
    answer = await guarded.get("/v2/queues?marker=hush", headers={**valid, **headers})
    assert answer.status == status
    (line,) = lines.getvalue().splitlines()
    assert 'msg="refused"' in line
    assert f'code="{code}"' in line
    assert 'path="/v2/queues"' in line
    assert "hush" not in line


async def test_a_refusal_by_policy_names_rule_and_caller(
    service: Service, lines: io.StringIO
) -> None:
    assert (await service.get("/v2/quotas")).status == 403
    (line,) = lines.getvalue().splitlines()
    assert "quotas:get" in line
    assert 'project="p1"' in line


async def test_a_refusal_of_an_operator_names_who_it_was(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock, lines: io.StringIO
) -> None:
    token = issuer_key.token(clock, sub="bob")
    assert (await guarded.get("/v2/health", headers={"X-Auth-Token": token})).status == 403
    (line,) = lines.getvalue().splitlines()
    assert 'user="bob"' in line
    assert "health:get" in line


async def test_nobody_forges_a_line(service: Service, lines: io.StringIO) -> None:
    await service.put("/v2/queues/a", headers={"X-User-Id": 'x" project="p9'})
    (line,) = lines.getvalue().splitlines()
    assert 'user="x\\" project=\\"p9"' in line


def test_audit_lines_are_written_whatever_the_log_level() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure("error")
        assert logging.getLogger("nusku.audit").isEnabledFor(logging.INFO)
        assert not logging.getLogger("nusku.http").isEnabledFor(logging.INFO)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
