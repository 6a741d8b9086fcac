"""Wait handles over HTTP: what is asked, in whatever form, and what is answered."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
import pytest

from tests.clock import MovableClock
from tests.transport.live import LiveServer, RawConnection
from tests.transport.service import MSGPACK, Answer, Service

HANDLE = "/v2/signals/boot"
SIGNAL = f"{HANDLE}/signal"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def make(service: Service, **terms: Any) -> Answer:
    answer = await service.put(HANDLE, {"timeout": 600, **terms})
    assert answer.status == 201, answer.content
    return answer


async def test_a_handle_is_made_and_shown(service: Service) -> None:
    terms = {"count": 2, "timeout": 600, "heartbeat": 60, "data": {"a": [1.5, None]}}
    made = await service.put(HANDLE, {**terms, "notify": {"queue": "done"}})
    assert (made.status, made.headers["location"]) == (201, HANDLE)
    assert {name: made.json[name] for name in terms} == terms
    assert made.json["notify"] == {"queue": "done"}
    shown = (await service.get(HANDLE)).json
    expected = {**made.json, "signals": {}, "links": []}
    assert shown == {k: v for k, v in expected.items() if k not in ("url", "url_expires")}
    assert shown | {"created": 0, "deadline": 0} == {
        "name": "boot",
        "href": HANDLE,
        "state": "in_progress",
        "reason": None,
        "received": 0,
        **terms,
        "notify": {"queue": "done"},
        "progress": None,
        "created": 0,
        "deadline": 0,
        "ended": None,
        "signals": {},
        "links": [],
    }


async def test_one_signal_is_awaited_unless_more_are_asked_for(service: Service) -> None:
    assert (await make(service)).json["count"] == 1


async def test_the_same_handle_can_be_put_again_and_no_other(service: Service) -> None:
    first = await make(service, count=2)
    again = await service.put(HANDLE, {"timeout": 600, "count": 2})
    assert (again.status, again.json) == (200, first.json)
    other = await service.put(HANDLE, {"timeout": 601, "count": 2})
    assert other.error == (409, "Resource conflict")
    assert other.json["code"] == "signal_exists"


async def test_the_secret_of_a_webhook_is_shown_to_its_maker_alone(service: Service) -> None:
    terms = {"timeout": 60, "notify": {"webhook": "https://example.org/hook"}}
    made = (await service.put(HANDLE, terms)).json
    secret = made["notify"].pop("secret")
    assert secret.startswith("whsec_")
    assert made["notify"] == terms["notify"]
    assert (await service.put(HANDLE, terms)).json["notify"]["secret"] == secret
    for path in (HANDLE, "/v2/signals"):
        assert secret.encode() not in (await service.get(path)).content
    assert (await service.get(HANDLE)).json["notify"] == terms["notify"]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({}, "timeout"),
        ({"count": 1}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 31_536_001}, "timeout"),
        ({"timeout": "60"}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": 60, "count": 0}, "count"),
        ({"timeout": 60, "count": 1001}, "count"),
        ({"timeout": 60, "count": 1.5}, "count"),
        ({"timeout": 60, "heartbeat": 0}, "heartbeat"),
        ({"timeout": 60, "heartbeat": 61}, "heartbeat"),
        ({"timeout": 60, "notify": {}}, "notify"),
        ({"timeout": 60, "notify": "q"}, "notify"),
        ({"timeout": 60, "notify": {"queue": "a b"}}, "notify.queue"),
        ({"timeout": 60, "notify": {"topic": "t"}}, "topic"),
        ({"timeout": 60, "notify": {"queue": "q", "webhook": "https://h/"}}, "notify"),
        ({"timeout": 60, "notify": {"queue": "q", "webhook": None}}, "webhook"),
        ({"timeout": 60, "notify": {"webhook": "ftp://h/"}}, "notify.webhook"),
        ({"timeout": 60, "notify": {"webhook": "https://h:22/"}}, "notify.webhook"),
        ({"timeout": 60, "notice": 1}, "notice"),
        ([], "body"),
    ],
)
async def test_wrong_terms_are_refused_by_name(
    service: Service, terms: object, field: str
) -> None:
    answer = await service.put(HANDLE, terms)
    assert answer.status == 400
    assert field in answer.json["description"]
    assert (await service.get(HANDLE)).status == 404


@pytest.mark.parametrize("name", ["a%20b", "x" * 65, "ä", "a*"])
async def test_a_name_is_like_that_of_a_queue(service: Service, name: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        answer = await service.call(method, f"/v2/signals/{name}", {"timeout": 60})
        assert answer.error == (400, "Invalid signal identification")


# -- signals --------------------------------------------------------------------------------

CFN = {"Status": "SUCCESS", "Reason": "done", "UniqueId": "i-1", "Data": "text"}
HEAT = {"status": "SUCCESS", "reason": "done", "id": "i-1", "data": {"a": 1}}


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    ("document", "sender", "shown"),
    [
        (CFN, "i-1", {"reason": "done", "data": "text"}),
        (HEAT, "i-1", {"reason": "done", "data": {"a": 1}}),
        ({}, "1", {"reason": "Signal 1 received", "data": None}),
        ({"deploy_status_code": 0}, "1", {"data": {"deploy_status_code": 0}}),
        ([1, "x"], "1", {"data": [1, "x"]}),
        ("text", "1", {"data": "text"}),
    ],
)
async def test_each_form_of_a_signal_counts(
    service: Service, method: str, document: Any, sender: str, shown: dict[str, Any]
) -> None:
    await make(service)
    answer = await service.call(method, SIGNAL, document)
    assert answer.status == 200
    assert answer.json == {
        "id": sender,
        "repeated": False,
        "state": "success",
        "count": 1,
        "received": 1,
    }
    (said,) = (await service.get(HANDLE)).json["signals"].items()
    assert said[0] == sender
    assert said[1]["status"] == "SUCCESS"
    assert shown.items() <= said[1].items()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        FORM,
        {"Content-Type": "text/plain"},
        {"Content-Type": "text/plain; charset=utf-8"},
        {"Content-Type": ""},
        {"Content-Type": "image/png"},
    ],
)
async def test_a_signal_needs_no_content_type_and_may_have_any(
    service: Service, headers: dict[str, str]
) -> None:
    await make(service)
    answer = await service.put(SIGNAL, CFN, headers=headers)
    assert (answer.status, answer.json["id"]) == (200, "i-1")


async def test_a_form_is_still_none_elsewhere(service: Service) -> None:
    answer = await service.put(HANDLE, {"timeout": 60}, headers=FORM)
    assert answer.error == (400, "Invalid Content-Type")


async def test_nothing_at_all_is_a_success(service: Service) -> None:
    await make(service)
    assert (await service.put(SIGNAL)).json["state"] == "success"


async def test_a_signal_may_be_messagepack(service: Service) -> None:
    await make(service)
    body = msgpack.packb({"id": "a", "data": {"raw": b"\x00\x01"}})
    kind = {"Content-Type": MSGPACK}
    assert (await service.call("POST", SIGNAL, data=body, headers=kind)).status == 200
    assert (await service.get(HANDLE)).json["signals"]["a"]["data"] == {"raw": "AAE="}
    packed = await service.get(HANDLE, headers={"Accept": MSGPACK})
    assert msgpack.unpackb(packed.content)["state"] == "success"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"hello", "parsed"),
        (b'{"status": "ok"}', "status"),
        (b'{"status": "SUCCESS", "id": ""}', "id"),
        (b'{"Reason": 5}', "reason"),
        (b"[" * 200 + b"]" * 200, "nested"),
        (b"x" * 262_145, "262144"),
    ],
)
async def test_what_is_no_signal_is_refused_and_changes_nothing(
    service: Service, body: bytes, text: str
) -> None:
    await make(service)
    answer = await service.call("PUT", SIGNAL, data=body)
    assert answer.status == 400
    assert text in answer.json["description"]
    assert (await service.get(HANDLE)).json["received"] == 0


async def test_a_repeated_signal_says_so_and_counts_once(service: Service) -> None:
    await make(service, count=2)
    for repeated in (False, True, True):
        answer = await service.put(SIGNAL, CFN)
        assert (answer.status, answer.json["repeated"]) == (200, repeated)
        assert answer.json["received"] == 1


async def test_an_idempotency_key_stands_for_an_id(service: Service) -> None:
    await make(service, count=2)
    for _ in range(2):
        answer = await service.post(SIGNAL, ["data"], headers={"Idempotency-Key": "k-1"})
        assert (answer.json["id"], answer.json["received"]) == ("k-1", 1)
    named = await service.post(SIGNAL, CFN, headers={"Idempotency-Key": "k-1"})
    assert named.json["id"] == "i-1"


async def test_a_failure_ends_the_wait(service: Service) -> None:
    await make(service, count=5)
    failed = {"Status": "FAILURE", "Reason": "no disk", "UniqueId": "i-2", "Data": "log"}
    assert (await service.put(SIGNAL, failed)).json["state"] == "failure"
    shown = (await service.get(HANDLE)).json
    assert (shown["state"], shown["reason"]) == ("failure", "no disk")
    assert shown["signals"]["i-2"]["status"] == "FAILURE"
    assert shown["ended"] is not None


async def test_a_late_signal_has_an_answer_of_its_own(
    service: Service, clock: MovableClock
) -> None:
    await make(service)
    clock.advance(s=600)
    for _ in range(2):
        late = await service.put(SIGNAL, CFN)
        assert late.error == (410, "The wait has ended")
        assert late.json["code"] == "signal_late"
        assert "timeout" in late.json["description"]
    shown = (await service.get(HANDLE)).json
    assert (shown["state"], shown["received"], shown["signals"]) == ("timeout", 0, {})
    assert shown["ended"] == shown["deadline"]


async def test_progress_is_shown(service: Service, clock: MovableClock) -> None:
    await make(service, heartbeat=60)
    clock.advance(s=50)
    said = {"status": "IN_PROGRESS", "reason": "installing", "id": "i-1", "data": {"%": 40}}
    answer = await service.post(SIGNAL, said)
    assert (answer.status, answer.json["received"]) == (200, 0)
    clock.advance(s=50)
    shown = (await service.get(HANDLE)).json
    assert shown["state"] == "in_progress"
    progress = shown["progress"]
    assert progress.pop("at")
    assert progress == {"id": "i-1", "reason": "installing", "data": {"%": 40}}


async def test_a_signal_to_no_handle_is_not_found(service: Service) -> None:
    answer = await service.put(SIGNAL, CFN)
    assert answer.error == (404, "Not found")
    assert answer.json["code"] == "signal_not_found"


# -- waiting, listing, cancelling -----------------------------------------------------------


async def test_whoever_waits_is_answered_at_the_end(service: Service) -> None:
    await make(service)
    waiting = asyncio.create_task(service.wait("GET", f"{HANDLE}?wait=30"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await service.put(SIGNAL, CFN)
    async with asyncio.timeout(5):
        answer = await waiting
    assert (answer.status, answer.json["state"]) == (200, "success")
    assert answer.json["signals"]["i-1"]["data"] == "text"


async def test_whoever_waits_for_what_has_ended_is_answered_at_once(service: Service) -> None:
    await make(service)
    await service.put(SIGNAL, CFN)
    async with asyncio.timeout(5):
        answer = await service.wait("GET", f"{HANDLE}?wait=60")
    assert answer.json["state"] == "success"


async def test_whoever_waits_for_what_is_cancelled_gets_404(service: Service) -> None:
    await make(service)
    waiting = asyncio.create_task(service.wait("GET", f"{HANDLE}?wait=30"))
    await asyncio.sleep(0.05)
    assert (await service.delete(HANDLE)).status == 204
    async with asyncio.timeout(5):
        answer = await waiting
    assert (answer.status, answer.json["code"]) == (404, "signal_not_found")


async def test_whoever_has_waited_long_enough_gets_the_handle_as_it_is(
    service: Service,
) -> None:
    await make(service)
    answer = await service.wait("GET", f"{HANDLE}?wait=1")
    assert (answer.status, answer.json["state"]) == (200, "in_progress")


def test_whoever_goes_away_while_waiting_is_gone(live: LiveServer) -> None:
    body = b'{"timeout": 600}'
    with RawConnection(live.address) as connection:
        connection.send_head("PUT", HANDLE, content_length=str(len(body)))
        connection.send(body)
        assert connection.answer()[0] == 201
        connection.send_head("GET", f"{HANDLE}?wait=60")
        live.until_somebody_waits()
    live.settle()


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=x", "limit=0", "limit=101"])
async def test_a_wrong_parameter_is_refused(service: Service, query: str) -> None:
    await make(service)
    answer = await service.get(f"{HANDLE}?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.json["description"]


async def test_handles_are_listed_page_by_page(service: Service) -> None:
    for name in ("c", "a", "b"):
        await service.put(f"/v2/signals/{name}", {"timeout": 60})
    await service.put("/v2/signals/b/signal", {})
    seen, href = [], "/v2/signals?limit=2"
    while href:
        page = (await service.get(href)).json
        seen += [(handle["name"], handle["state"]) for handle in page["signals"]]
        href = page["links"][0]["href"] if page["links"] else ""
    assert seen == [("a", "in_progress"), ("b", "success"), ("c", "in_progress")]
    filtered = (await service.get("/v2/signals?state=success")).json["signals"]
    assert [handle["name"] for handle in filtered] == ["b"]
    assert (await service.get("/v2/signals?prefix=c")).json["signals"][0]["name"] == "c"


@pytest.mark.parametrize("query", ["state=cancelled", "state=SUCCESS", "limit=0", "limit=x"])
async def test_a_wrong_listing_is_refused(service: Service, query: str) -> None:
    assert (await service.get(f"/v2/signals?{query}")).status == 400


async def test_the_data_of_many_senders_have_links(service: Service) -> None:
    await make(service, count=5)
    for number in range(5):
        await service.put(SIGNAL, {"id": number})
    seen: list[str] = []
    href = f"{HANDLE}?limit=2"
    while href:
        page = (await service.get(href)).json
        seen += page["signals"]
        href = page["links"][0]["href"] if page["links"] else ""
    assert seen == ["0", "1", "2", "3", "4"]


async def test_a_cancelled_handle_is_gone_and_cancelling_again_is_no_error(
    service: Service,
) -> None:
    await make(service)
    for _ in range(2):
        assert (await service.delete(HANDLE)).status == 204
        assert (await service.get(HANDLE)).status == 404


async def test_projects_do_not_see_each_other(service: Service) -> None:
    await make(service)
    other = {"X-Project-ID": "p2"}
    assert (await service.get(HANDLE, headers=other)).status == 404
    assert (await service.put(SIGNAL, CFN, headers=other)).status == 404
    assert (await service.get("/v2/signals", headers=other)).json["signals"] == []
    await service.delete(HANDLE, headers=other)
    assert (await service.get(HANDLE)).status == 200


async def test_without_keys_there_is_no_url(service: Service) -> None:
    made = (await make(service)).json
    assert (made["url"], made["url_expires"]) == (None, None)
