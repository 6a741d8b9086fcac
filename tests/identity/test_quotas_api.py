"""Quotas over HTTP: the operator's API, and what those are told who exceed them."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.issuer import SigningKey
from tests.transport.live import LiveServer
from tests.transport.service import Answer, Service

ADMIN = {"X-Roles": "admin"}
MESSAGES = "/v2/queues/q/messages"
NONE = {
    "queues": 0,
    "messages": 0,
    "body_bytes": 0,
    "claimed_messages": 0,
    "requests_per_s": 0.0,
    "messages_per_s": 0.0,
}


def _of(project: str) -> str:
    return f"/v2/quotas?project={quote(project, safe='')}"


async def _set(service: Service, project: str, **limits: object) -> None:
    answer = await service.put(_of(project), limits, headers=ADMIN)
    assert answer.status == 204, answer.content


async def _post(service: Service, *bodies: object, agent: str | None = None) -> Answer:
    document = {"messages": [{"body": body} for body in bodies or (1,)]}
    return await service.post(MESSAGES, document, headers={"User-Agent": agent})


async def test_a_project_sees_its_limits_and_what_it_uses(service: Service) -> None:
    await _set(service, "p1", messages=10, messages_per_s=0.5)
    shown = (await service.get("/v2/quota")).json
    used = {"queues": 0, "messages": 0, "body_bytes": 0, "claimed_messages": 0}
    limits = {**NONE, "messages": 10, "messages_per_s": 0.5}
    assert shown == {"project": "p1", "limits": limits, "usage": used}
    await service.post(MESSAGES, {"messages": [{"body": "abc"}]})
    await service.claim("q")
    used = {"queues": 1, "messages": 1, "body_bytes": 5, "claimed_messages": 1}
    assert (await service.get("/v2/quota")).json["usage"] == used
    assert (await service.get(_of("p1"), headers=ADMIN)).json["usage"] == used


async def test_what_an_override_leaves_out_has_the_default(start: Start) -> None:
    service: Service = await start(quota_messages=5, rate_requests_per_s=100.0)
    await _set(service, "p1", messages=7)
    limits = (await service.get("/v2/quota")).json["limits"]
    assert limits == {**NONE, "messages": 7, "requests_per_s": 100.0}
    await _set(service, "p1", queues=3)
    limits = (await service.get("/v2/quota")).json["limits"]
    assert limits == {**NONE, "messages": 5, "queues": 3, "requests_per_s": 100.0}
    for _ in range(2):
        assert (await service.delete(_of("p1"), headers=ADMIN)).status == 204
    limits = (await service.get("/v2/quota")).json["limits"]
    assert limits == {**NONE, "messages": 5, "requests_per_s": 100.0}


async def test_an_override_takes_a_default_away(start: Start) -> None:
    service: Service = await start(quota_messages=1)
    await _set(service, "p1", messages=0)
    assert (await _post(service, 1, 2, 3)).status == 201


@pytest.mark.parametrize("project", ["a/b", "Zoë ☃", "100%", "a b&c=d", "x" * 256])
async def test_a_project_may_have_any_name(service: Service, project: str) -> None:
    await _set(service, project, messages=1)
    shown = (await service.get(_of(project), headers=ADMIN)).json
    assert (shown["project"], shown["limits"]["messages"]) == (project, 1)
    listed = (await service.get("/v2/quotas", headers=ADMIN)).json
    assert listed == {"quotas": [{"project": project, "limits": {"messages": 1}}], "links": []}
    assert (await service.delete(_of(project), headers=ADMIN)).status == 204
    assert (await service.get("/v2/quotas", headers=ADMIN)).json["quotas"] == []


async def test_a_listing_leads_from_page_to_page(service: Service) -> None:
    names = sorted(["a/b", "b&c", "c d", "Zoë", "z"])
    for name in names:
        await _set(service, name, queues=1)
    seen, href = [], "/v2/quotas?limit=2"
    while href:
        page = (await service.get(href, headers=ADMIN)).json
        seen += [one["project"] for one in page["quotas"]]
        href = page["links"][0]["href"] if page["links"] else ""
        assert not href or parse_qs(urlsplit(href).query)["limit"] == ["2"]
    assert seen == names


@pytest.mark.parametrize(
    "document",
    [
        [],
        "x",
        1,
        {"moons": 1},
        {"messages": -1},
        {"messages": "1"},
        {"messages": 1.5},
        {"messages": True},
        {"messages": None},
        {"messages": 2**53 + 1},
        {"requests_per_s": -0.1},
        {"requests_per_s": "fast"},
        {"requests_per_s": 10**9 + 1},
        {"requests_per_s": 1e400},
    ],
)
async def test_a_document_that_makes_no_sense_changes_nothing(
    service: Service, document: object
) -> None:
    await _set(service, "p1", messages=3)
    data = json.dumps(document).replace("Infinity", "1e400").encode()
    answer = await service.put(_of("p1"), data=data, headers=ADMIN)
    assert answer.error[0] == 400
    assert (await service.get("/v2/quota")).json["limits"]["messages"] == 3


@pytest.mark.parametrize("query", ["", "?project=", "?project=" + "x" * 257])
async def test_a_change_without_a_project_is_refused(service: Service, query: str) -> None:
    for method in ("PUT", "DELETE"):
        answer = await service.call(method, f"/v2/quotas{query}", {}, headers=ADMIN)
        assert answer.error == (400, "Invalid API request")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=101"])
async def test_a_page_of_an_impossible_size_is_refused(service: Service, query: str) -> None:
    answer = await service.get(f"/v2/quotas?{query}", headers=ADMIN)
    assert answer.status == 400


async def test_only_an_operator_reaches_the_quotas_of_others(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    def bearer(*roles: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer_key.token(clock, roles=list(roles))}"}

    for method in ("GET", "PUT", "DELETE"):
        answer = await guarded.call(method, _of("p2"), {}, headers=bearer("member"))
        assert answer.error == (403, "Not authorized")
        assert answer.json["code"] == "forbidden"
        answer = await guarded.call(method, _of("p2"), {}, headers=bearer("admin"))
        assert answer.status in (200, 204)
        sneaky = {**bearer("member"), **ADMIN}
        assert (await guarded.call(method, _of("p2"), {}, headers=sneaky)).status == 403
    assert (await guarded.get("/v2/quota", headers=bearer("member"))).status == 200


async def test_without_authentication_the_role_is_believed(service: Service) -> None:
    assert (await service.get("/v2/quotas")).status == 403
    assert (await service.get("/v2/quotas", headers={"X-Roles": "member"})).status == 403
    assert (await service.get("/v2/quotas", headers={"X-Roles": "member, Admin"})).status == 200


@pytest.mark.parametrize(
    ("quota", "exceeding"),
    [("messages", [1, 2]), ("body_bytes", ["xx"]), ("queues", [1]), ("claimed_messages", [])],
)
async def test_a_refusal_names_the_quota_in_its_title(
    service: Service, quota: str, exceeding: list[object]
) -> None:
    await service.put("/v2/queues/other")
    await service.post_bodies("other", 1, 2)
    await service.claim("other", limit=1)
    limit = {"messages": 3, "body_bytes": 4}.get(quota, 1)
    await _set(service, "p1", **{quota: limit})
    if exceeding:
        answer = await _post(service, *exceeding)
    else:
        answer = await service.post("/v2/queues/other/claims?limit=1", {})
    assert answer.error == (403, f"Quota exceeded: {quota}")
    assert answer.json["code"] == "quota_exceeded"
    assert str(limit) in answer.json["description"]


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        (None, 429),
        ("curl/8.5.0", 429),
        ("my-app/1.0 python-requests/2", 429),
        ("python-requests/2.32.3", 503),
        ("python-zaqarclient", 503),
        ("openstacksdk/4.0 keystoneauth1/5", 503),
        ("osc-lib/3.0", 503),
    ],
)
async def test_who_takes_429_for_success_is_told_503(
    service: Service, clock: MovableClock, agent: str | None, status: int
) -> None:
    await _set(service, "p1", messages_per_s=0.25)
    assert (await _post(service, agent=agent)).status == 201
    answer = await _post(service, agent=agent)
    assert answer.error == (status, "Too many requests")
    assert answer.json["code"] == "rate_exceeded"
    assert answer.headers["retry-after"] == "4"
    clock.advance(s=int(answer.headers["retry-after"]))
    assert (await _post(service, agent=agent)).status == 201


async def test_a_rate_of_requests_counts_all_of_them_but_not_the_operators(
    service: Service,
) -> None:
    await _set(service, "p1", requests_per_s=3)
    statuses = [(await service.get("/v2/queues")).status for _ in range(3)]
    assert statuses == [200] * 3
    assert (await service.get("/v2/queues")).status == 429
    assert (await service.get("/v2/quota")).status == 429
    assert (await service.get("/v2/health")).status == 200
    assert (await service.get("/v2/queues", headers={"X-Project-ID": "p2"})).status == 200
    await _set(service, "p1", requests_per_s=0)
    assert (await service.get("/v2/queues")).status == 200


async def test_a_rate_of_one_process_is_that_of_the_other(
    service: Service, elsewhere: Service
) -> None:
    await _set(service, "p1", messages_per_s=2)
    assert (await _post(service, 1, 2)).status == 201
    assert (await _post(elsewhere)).status == 429


@contextlib.contextmanager
def _audited() -> Iterator[list[logging.LogRecord]]:
    lines: list[logging.LogRecord] = []
    log, handler = logging.getLogger("nusku.audit"), logging.Handler()
    handler.emit = lines.append  # type: ignore[assignment, method-assign]
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lines
    log.removeHandler(handler)
    log.setLevel(level)


async def test_changes_and_refusals_leave_lines_in_the_audit_log(service: Service) -> None:
    with _audited() as lines:
        await _set(service, "p1", messages=1)
        await _post(service, 1, 2)
        await service.delete(_of("p1"), headers=ADMIN)
        await service.put(_of("p1"), {"moons": 1}, headers=ADMIN)
    told: list[tuple[str, Any]] = [(line.getMessage(), vars(line)["fields"]) for line in lines]
    assert [event for event, _ in told] == ["quota.changed", "refused", "quota.deleted"]
    assert [told[0][1]["subject"], told[2][1]["subject"]] == ["p1", "p1"]
    assert told[1][1]["code"] == "quota_exceeded"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_zaqarclient_raises_and_loses_nothing(tmp_path: Path) -> None:
    from zaqarclient.queues import client as zaqar
    from zaqarclient.transport.errors import ServiceUnavailableError

    server = LiveServer(tmp_path / "nusku.db", rate_messages_per_s=0.1)
    server.start()
    try:
        host, port = server.address
        options = {"auth_opts": {"backend": "noauth", "options": {"os_project_id": "p1"}}}
        queue = zaqar.Client(f"http://{host}:{port}", version=2, conf=options).queue("q")
        queue.post({"body": 1, "ttl": 300})
        with pytest.raises(ServiceUnavailableError):
            queue.post({"body": 2, "ttl": 300})
        assert [message.body for message in queue.messages(echo=True)] == [1]
    finally:
        server.stop()
