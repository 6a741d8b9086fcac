"""The URL of a wait handle: it sends signals to this handle, and is good for nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.endpoints import ENDPOINTS, outcome
from tests.transport.service import Answer, Service

ALONE: Mapping[str, str | None] = {"Client-ID": None, "X-Project-ID": None}
HANDLE = "/v2/signals/q1"
RETENTION_S = 604_800
DONE = {"id": "a"}


async def url_of(service: Service, **given: Any) -> str:
    """Make a handle and return path and query of its URL."""
    headers = given.pop("headers", None)
    terms = {"timeout": 60, "count": 10, **given}
    made = await service.put(HANDLE, terms, headers=headers)
    assert made.status in (200, 201), made.content
    url: str = made.json["url"]
    assert url.startswith("http://falconframework.org/")
    return url.removeprefix("http://falconframework.org")


async def knock(service: Service, url: str, document: object = DONE) -> Answer:
    return await service.call("PUT", url, document, headers=ALONE)


async def test_the_url_alone_is_enough_in_every_process(
    service: Service, elsewhere: Service, guarded: Service
) -> None:
    url = await url_of(service)
    for number, process in enumerate((service, elsewhere, guarded)):
        assert (await knock(process, url, {"id": number})).json["received"] == number + 1
    assert (await service.call("POST", url, {"id": 3}, headers=ALONE)).status == 200


async def test_it_opens_nothing_else(service: Service) -> None:
    path, _, query = (await url_of(service)).partition("?")
    for endpoint in ENDPOINTS:
        found = outcome(await endpoint.call(service, dict(ALONE), query))
        expected = "open" if endpoint.path == path else "nothing there"
        assert found == expected, f"{endpoint.method} {endpoint.route}"
    for other in ("/v2/signals/q2/signal", f"{path}/x", f"{path}/", "/v2/signals/q1/signals"):
        await service.put("/v2/signals/q2", {"timeout": 60})
        assert (await knock(service, f"{other}?{query}")).status == 404


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("project=p1", "project=p2"),
        ("methods=POST,PUT", "methods=GET,POST,PUT"),
        ("paths=/v2/signals/q1/signal", "paths=/v2/signals/q1/signal,/v2/signals/q2/signal"),
        ("share=", "share=0"),
        ("expires=20", "expires=21"),
        ("signature=", "signature=0"),
    ],
)
async def test_a_changed_url_opens_nothing(service: Service, old: str, new: str) -> None:
    url = await url_of(service)
    assert old in url
    assert (await knock(service, url.replace(old, new, 1))).status == 404
    assert (await service.get(HANDLE)).json["received"] == 0


async def test_it_is_worth_nothing_for_a_later_handle_of_that_name(
    service: Service, elsewhere: Service
) -> None:
    old = await url_of(service)
    await service.delete(HANDLE)
    assert (await knock(elsewhere, old)).status == 404
    new = await url_of(service)
    assert new != old
    refused = await knock(elsewhere, old)
    assert refused.error == (404, "404 Not Found")
    assert (await service.get(HANDLE)).json["received"] == 0
    assert (await knock(elsewhere, new)).status == 200


async def test_it_tells_who_is_late_that_they_are_until_the_handle_is_forgotten(
    service: Service, clock: MovableClock
) -> None:
    url = await url_of(service)
    clock.advance(s=60)
    assert (await knock(service, url)).json["code"] == "signal_late"
    clock.advance(s=RETENTION_S)
    assert (await knock(service, url)).error == (404, "404 Not Found")


async def test_whoever_lost_the_url_gets_the_same_one_again(
    service: Service, elsewhere: Service
) -> None:
    assert await url_of(elsewhere) == await url_of(service)


async def test_only_who_may_signal_is_shown_the_url(service: Service) -> None:
    await url_of(service)
    for path in (HANDLE, "/v2/signals"):
        assert b"signature" not in (await service.get(path)).content
    refused = await _with_token(service, ["wait"])
    answer = await service.put(HANDLE, {"timeout": 60, "count": 10}, headers=refused)
    assert answer.status == 403


async def _with_token(service: Service, operations: list[str]) -> dict[str, str | None]:
    made = await service.post("/v2/tokens", {"operations": operations, "queues": ["q*"]})
    assert made.status == 201, made.content
    return {"X-Auth-Token": made.json["token"], "X-Project-ID": None}


async def test_it_ends_with_the_token_of_its_maker(
    service: Service, elsewhere: Service, clock: MovableClock
) -> None:
    made = await service.post("/v2/tokens", {"operations": ["wait", "signal"]})
    token: dict[str, str | None] = {"X-Auth-Token": made.json["token"]}
    url = await url_of(service, headers=token)
    assert (await knock(elsewhere, url, {"id": 1})).status == 200
    await service.delete(f"/v2/tokens/{made.json['id']}")
    assert (await knock(elsewhere, url, {"id": 2})).error == (404, "404 Not Found")
    assert (await service.put(f"{HANDLE}/signal", {"id": 3})).status == 200


async def test_a_token_gets_no_url_that_would_outlive_it(service: Service) -> None:
    terms = {"timeout": 60, "count": 10}
    mine, other = [await _with_token(service, ["wait", "signal"]) for _ in range(2)]
    for headers in (mine, mine, None):
        assert (await service.put(HANDLE, terms, headers=headers)).json["url"]
    found = await service.put(HANDLE, terms, headers=other)
    assert (found.status, found.json["url"]) == (200, None)


async def test_a_token_is_for_signals_whose_names_its_patterns_fit(service: Service) -> None:
    token = await _with_token(service, ["wait", "signal"])
    assert (await service.put(HANDLE, {"timeout": 60}, headers=token)).status == 201
    await service.put("/v2/signals/x1", {"timeout": 60})
    for method in ("PUT", "GET", "DELETE"):
        answer = await service.call(method, "/v2/signals/x1", {"timeout": 60}, headers=token)
        assert answer.status == 403
    listed = (await service.get("/v2/signals", headers=token)).json["signals"]
    assert [handle["name"] for handle in listed] == ["q1"]


async def test_a_share_of_a_queue_cannot_be_made_into_one_of_a_signal(service: Service) -> None:
    for paths in (["signal"], ["../../signals/q1/signal"], ["signals"]):
        answer = await service.post("/v2/shares", {"queue": "q1", "paths": paths})
        assert answer.status == 400


async def test_the_audit_log_says_who_made_and_cancelled_and_holds_no_url(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "nusku.audit"):
        url = await url_of(service)
        await knock(service, url.replace("signature=", "signature=0"))
        await service.delete(HANDLE)
        await service.delete(HANDLE)
    events = [(r.message, getattr(r, "fields", {}).get("subject")) for r in caplog.records]
    assert events == [("signal.created", "q1"), ("refused", None), ("signal.deleted", "q1")]
    assert "signature=" not in str([vars(record) for record in caplog.records])


async def test_the_address_in_the_url_is_that_of_the_setting(start: Start) -> None:
    service: Service = await start(public_url="https://queues.example/nusku/")
    made = await service.put(HANDLE, {"timeout": 60})
    assert made.json["url"].startswith("https://queues.example/nusku/v2/signals/q1/signal?")


async def test_a_project_whose_name_cannot_be_signed_gets_no_url(service: Service) -> None:
    odd = {"X-Project-ID": r"GET\nother"}
    made = await service.put(HANDLE, {"timeout": 60}, headers=odd)
    assert (made.status, made.json["url"]) == (201, None)
